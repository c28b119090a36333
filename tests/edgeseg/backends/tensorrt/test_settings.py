"""How the builder is told to build, seen by a made-up library that has only what TensorRT 10, 11 and RTX all have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeseg.backends.tensorrt.build import build_engine
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import TENSORRT, TENSORRT_RTX, Library
from edgeseg.backends.tensorrt.target import choose_target
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import BackendError

GPU = Gpu("Orin", (8, 7))
AMPERE = Gpu("A100", (8, 0))
GRAPH = Graph({}, (TensorSpec("x", "float32", (2,)),), (TensorSpec("y", "float32", (2,)),))
STRONGLY_TYPED = 1


class Library10:
    """Records what it is told. Its builder gives ``plan``."""

    def __init__(self, plan):
        self.plan, self.network_flags, self.cleared, self.capabilities = plan, [], [], []
        tensors = {name: SimpleNamespace(name=name, dtype="FLOAT", shape=(2,)) for name in ("x", "y")}
        self.network = SimpleNamespace(
            num_inputs=1, num_outputs=1, num_layers=0, get_input=lambda _: tensors["x"], get_output=lambda _: tensors["y"]
        )
        self.config = SimpleNamespace(
            clear_flag=self.cleared.append, set_compute_capability=lambda name, index: self.capabilities.append((index, name))
        )

    def module(self, **more):
        """The module; ``more`` are names that not every library has."""
        names = {name: name for name in ("FLOAT", "HALF", "INT8", "INT32", "INT64", "BOOL", "UINT8")}
        kinds = {name: name for name in ("CONVOLUTION", "DECONVOLUTION", "QUANTIZE", "DEQUANTIZE", "NMS", "NON_ZERO", "TOPK")}
        return SimpleNamespace(
            ILogger=type("ILogger", (), {"ERROR": 1}),
            IProgressMonitor=type("IProgressMonitor", (), {}),
            DataType=SimpleNamespace(**names),
            LayerType=SimpleNamespace(**kinds),
            BuilderFlag=SimpleNamespace(TF32="TF32"),
            NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=STRONGLY_TYPED),
            Builder=self.builder,
            OnnxParser=lambda *_: SimpleNamespace(parse_from_file=lambda _: True),
            **more,
        )

    def builder(self, logger):
        def create_network(flags):
            self.network_flags.append(flags)
            return self.network

        def build(_network, config):
            config.progress_monitor.phase_start("work", None, 2)
            assert config.progress_monitor.step_complete("work", 0)
            logger.log(1, "it is late")
            logger.log(2, "a warning")
            return self.plan

        return SimpleNamespace(create_network=create_network, create_builder_config=lambda: self.config, build_serialized_network=build)


def build(library, file, target, reports=None):
    told = [] if reports is None else reports
    return build_engine(library, file, GRAPH, target, lambda *args: told.append(args))


def test_strongly_typed_and_without_tf32(tmp_path):
    """One bit alone is set, no flag of a precision is touched, and nothing that TensorRT-RTX alone has is used."""
    made = Library10(b"plan")
    library, reports = Library(made.module(), TENSORRT, "10.3.0"), []

    built = build(library, tmp_path / "key.onnx", choose_target(library, GPU, "fp32"), reports)

    assert built.plan == b"plan"
    assert made.network_flags == [1 << STRONGLY_TYPED]
    assert made.cleared == ["TF32"]
    assert made.capabilities == []
    assert reports == [("reading the graph", 0), ("work", 0), ("work", 0.5), ("done", 1.0)]


@pytest.mark.parametrize(
    ("gpu", "wanted", "capabilities"),
    [(None, ["this"], []), (AMPERE, ["this"], [(0, "current")]), (None, ["sm86", "sm80"], [(0, "ampere"), (1, "later ampere")])],
)
def test_rtx_is_told_the_gpus(tmp_path, gpu, wanted, capabilities):
    """None where it may choose, the one that is here, or those that were asked for."""
    made = Library10(b"plan")
    generations = SimpleNamespace(CURRENT="current", SM80="ampere", SM86="later ampere")
    library = Library(made.module(ComputeCapability=generations), TENSORRT_RTX, "1.7")

    build(library, tmp_path / "key.onnx", choose_target(library, gpu, "fp32", wanted))

    assert made.capabilities == capabilities
    assert getattr(made.config, "num_compute_capabilities", 0) == len(capabilities)


def test_a_builder_that_fails_is_quoted(tmp_path, capfd):
    """Its errors make the message, its warnings do not, and nothing goes to the terminal."""
    library = Library(Library10(None).module(), TENSORRT, "10.3.0")

    with pytest.raises(BackendError, match=r"TensorRT 10\.3\.0 cannot load \S*key\.onnx: it says: it is late\. Export"):
        build(library, tmp_path / "key.onnx", choose_target(library, GPU, "fp32"))

    assert capfd.readouterr() == ("", "")


def test_only_three_precisions_are_built(tmp_path):
    """What a backend reduces on its own, such as bf16, is no precision of an engine."""
    library = Library(Library10(b"plan").module(), TENSORRT, "10.3.0")

    with pytest.raises(BackendError, match="built in fp32, fp16, int8, not in bf16"):
        build(library, tmp_path / "key.onnx", choose_target(library, GPU, "bf16"))
