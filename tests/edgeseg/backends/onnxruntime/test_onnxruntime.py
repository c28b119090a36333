"""The providers of ONNX Runtime: what they need, where their nodes run, and that the CPU never does their work in silence."""

from __future__ import annotations

import ctypes
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgeseg.backends import BACKENDS, Carried, backend_named
from edgeseg.backends import onnxruntime as ours
from edgeseg.backends.onnxruntime import ON_GPU, OnnxRuntime
from edgeseg.backends.onnxruntime.assignment import RECORD, assignment
from edgeseg.backends.onnxruntime.library import PLUGIN, load_provider, register_plugin
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError, MissingDependencyError
from tests.contract.graphs import GRAPHS, TinyGraph
from tests.edgeseg.backends.onnxruntime.stand_in import CPU, StandIn

CUDA, TENSORRT, RTX = (provider.name for provider in ON_GPU)
BY_NAME = {provider.backend: provider for provider in ON_GPU}
Installer = Callable[[StandIn], StandIn]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Put a stand-in in the place of ONNX Runtime, on a machine with a driver and the plug-in's package."""

    def put(stand_in: StandIn) -> StandIn:
        plugin = types.ModuleType(PLUGIN)
        vars(plugin).update(get_library_path=lambda: "/there/plugin.so")
        monkeypatch.setitem(sys.modules, "onnxruntime", stand_in.module())
        monkeypatch.setitem(sys.modules, PLUGIN, plugin)
        monkeypatch.setattr(ours, "find_gpu", lambda: Gpu("a GPU", (8, 7)))
        monkeypatch.setattr(ours, "plugin_installed", lambda: True)
        monkeypatch.setattr(ours, "load_provider", lambda _: None)
        register_plugin.cache_clear()
        return stand_in

    yield put
    register_plugin.cache_clear()


def _open(name: str, folder: Path, allow: bool = False) -> Any:
    return backend_named(name, allow_cpu_fallback=allow).open(*GRAPHS[0].write(folder), "fp32", 1)


def test_a_session_says_how_many_nodes_run_where(install: Installer, tmp_path: Path) -> None:
    """Arithmetic on shapes may stay on the CPU; it is counted and named."""
    stand_in = install(StandIn({CUDA: ["Conv"] * 5 + ["Relu"], CPU: ["Gather", "Shape", "Gather"]}))

    with _open("onnxruntime-cuda", tmp_path) as session:
        assert session.runs_on == "CUDA: 6 of 9 nodes, 3 on CPU: 2 Gather, 1 Shape, fp32"
    assert stand_in.settings == dict([RECORD])


def test_nodes_on_the_provider_beneath_are_told(install: Installer, tmp_path: Path) -> None:
    """What TensorRT leaves to CUDA is on the GPU still, and no reason to refuse."""
    install(StandIn({TENSORRT: ["Conv"] * 2, CUDA: ["NonMaxSuppression"]}))

    with _open("onnxruntime-tensorrt", tmp_path) as session:
        assert session.runs_on.startswith("TensorRT: 2 of 3 nodes, 1 on CUDA: 1 NonMaxSuppression, fp32")


@pytest.mark.parametrize("name", BY_NAME)
def test_work_that_falls_to_the_cpu_is_refused(install: Installer, tmp_path: Path, name: str) -> None:
    """The error counts the kinds of nodes, leaves out those of shapes, and says how to allow it."""
    provider = BY_NAME[name]
    install(StandIn({provider.name: ["Conv"], CPU: ["Resize", "Shape", "NonMaxSuppression", "Resize"]}, devices=[RTX]))
    message = r"cannot run all of .*difference\.onnx: 2 Resize, 1 NonMaxSuppression would run on the CPU\. .*--allow-cpu-fallback"

    with pytest.raises(BackendError, match=f"{provider.word} {message}"):
        _open(name, tmp_path)


def test_work_on_the_cpu_can_be_allowed(install: Installer, tmp_path: Path) -> None:
    """Then it runs, and still says what is where."""
    install(StandIn({CUDA: ["Conv"], CPU: ["Resize"]}))

    with _open("onnxruntime-cuda", tmp_path, allow=True) as session:
        assert session.runs_on.startswith("CUDA: 1 of 2 nodes, 1 on CPU: 1 Resize")
    with pytest.raises(BackendError):
        _open("onnxruntime-cuda", tmp_path)


def test_a_provider_that_was_dropped_is_refused(install: Installer, tmp_path: Path) -> None:
    """ONNX Runtime goes on with the CPU alone when a provider is unknown; that is an error here, unless allowed."""
    install(StandIn({CPU: ["Sub"]}, registered=[CPU]))

    with pytest.raises(BackendError, match=r"9\.9 runs .* on CPU alone, although CUDA was asked for\. .*--allow-cpu-fallback"):
        _open("onnxruntime-cuda", tmp_path)
    with _open("onnxruntime-cuda", tmp_path, allow=True) as session:
        assert session.runs_on.startswith("CUDA: 0 of 1 nodes, 1 on CPU: 1 Sub")


def test_an_older_onnx_runtime_is_said_not_to_tell(install: Installer, tmp_path: Path) -> None:
    """It is used, but nobody is made to believe that all runs on the GPU."""
    install(StandIn(None))

    with _open("onnxruntime-cuda", tmp_path) as session:
        assert "which nodes fell to the CPU is not known, ONNX Runtime 9.9 does not tell (1.24 does)" in session.runs_on


@pytest.mark.parametrize(
    ("name", "precision", "providers"),
    [
        ("onnxruntime-cuda", "fp32", {CUDA: {"use_tf32": "0"}, CPU: {}}),
        ("onnxruntime-cuda", "fp16", {CUDA: {"use_tf32": "0"}, CPU: {}}),
        ("onnxruntime-tensorrt", "fp32", {TENSORRT: {}, CUDA: {"use_tf32": "0"}, CPU: {}}),
        ("onnxruntime-tensorrt", "fp16", {TENSORRT: {"trt_fp16_enable": "1"}, CUDA: {"use_tf32": "0"}, CPU: {}}),
    ],
)
def test_sessions_ask_for_their_providers_in_order(
    install: Installer, tmp_path: Path, name: str, precision: str, providers: Mapping[str, Any]
) -> None:
    """With the options of the precision, float32 exact, and never ONNX Runtime's own retry on the CPU."""
    stand_in = install(StandIn({}))

    BACKENDS[name].open(*GRAPHS[0].write(tmp_path), precision, 1).close()

    assert stand_in.asked == [{"providers": list(providers.items()), "enable_fallback": 0}]


def test_a_plug_in_is_registered_once_and_given_its_devices(install: Installer, tmp_path: Path) -> None:
    """Two sessions share the library; both run on the GPUs that it names."""
    stand_in = install(StandIn({RTX: ["Sub"]}, built=[CPU], devices=[RTX, "AnotherExecutionProvider"]))

    assert BACKENDS["onnxruntime-tensorrt-rtx"].probe().usable
    for _ in range(2):
        with _open("onnxruntime-tensorrt-rtx", tmp_path) as session:
            assert session.runs_on.startswith("TensorRT-RTX: 1 of 1 nodes, fp32")
    assert stand_in.libraries == [(RTX, "/there/plugin.so")]
    assert stand_in.asked == [{"enable_fallback": 0}] * 2


@pytest.mark.parametrize(("name", "device"), [("onnxruntime-cuda", "cuda"), ("onnxruntime-tensorrt", "cuda"), ("onnxruntime", "cpu")])
def test_carried_tensors_stay_on_the_device(install: Installer, tmp_path: Path, name: str, device: str) -> None:
    """What a later graph takes is bound to the GPU, what the caller takes to the host."""
    stand_in = install(StandIn({}))
    file, graph = GRAPHS[0].write(tmp_path)
    feeds = {"a": np.full((2, 3), 5, np.float32), "b": np.ones((2, 3), np.float32)}

    with BACKENDS[name].open(file, replace(graph, carry={"a": "y"}), "fp32", 1) as session:
        _, carried = session.run_carrying(feeds, {})
        assert stand_in.bound == {"y": device}
        np.testing.assert_array_equal(session.run({**feeds, "b": feeds["a"]})["y"], np.zeros((2, 3)))
        assert stand_in.bound == {"y": "cpu"}
        session.graph = graph
        np.testing.assert_array_equal(session.run_carrying({"b": feeds["b"]}, carried)[0]["y"], np.full((2, 3), 3))


def test_a_tensor_that_another_backend_carries_is_refused(install: Installer, tmp_path: Path) -> None:
    """In words, whatever it is and wherever it lies."""
    install(StandIn({}))
    file, graph = GRAPHS[0].write(tmp_path)
    feeds = {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.float32)}

    with BACKENDS["onnxruntime-cuda"].open(file, replace(graph, carry={"a": "y"}), "fp32", 1) as on_gpu:
        _, carried = on_gpu.run_carrying(feeds, {})
    with BACKENDS["onnxruntime"].open(file, graph, "fp32", 1) as on_cpu:
        for tensor in (carried["a"], Carried(graph.outputs[0], feeds["a"])):
            with pytest.raises(BackendError, match=r"a: the carried tensor is one of another backend; .*\(CPU, fp32"):
                on_cpu.run_carrying({"b": feeds["b"]}, {"a": tensor})


def test_onnx_runtime_says_nothing_on_the_terminal(install: Installer, tmp_path: Path) -> None:
    """While it looks for a GPU or opens a file, its log takes fatal errors alone; then it is as it was, even after a failure."""
    stand_in = install(StandIn({}))

    BACKENDS["onnxruntime-cuda"].probe()
    with pytest.raises(BackendError):
        BACKENDS["onnxruntime-cuda"].open(tmp_path / "nowhere.onnx", Graph({}, (), ()), "fp32", 1)

    assert stand_in.severities == [4, 2, 4, 2]


def test_a_run_that_fails_is_told_by_its_error_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """By the real library, which logs it too."""
    file, graph = TinyGraph("beyond", "(float[3] x, int64[1] i) => (float[1] y) { y = Gather(x, i) }", lambda _: {}, lambda _: {}).write(
        tmp_path
    )

    with BACKENDS["onnxruntime"].open(file, graph, "fp32", 1) as session, pytest.raises(BackendError, match="out of data bounds"):
        session.run({"x": np.zeros(3, np.float32), "i": np.array([7])})

    assert capfd.readouterr() == ("", "")


def test_a_provider_whose_library_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its path beside ONNX Runtime's own library, by the loader of the system; one that is there is loaded."""
    native = types.ModuleType("onnxruntime.capi.onnxruntime_pybind11_state")
    native.__file__ = str(tmp_path / "native.so")
    monkeypatch.setitem(sys.modules, native.__name__, native)
    loaded: list[str] = []

    with pytest.raises(OSError, match=rf"{tmp_path}.*providers_tensorrt\.\w+: cannot open"):
        load_provider("tensorrt")
    monkeypatch.setattr(ctypes, "CDLL", loaded.append)
    load_provider("tensorrt")

    assert [Path(file).parent for file in loaded] == [tmp_path]


def _no_driver(_: StandIn, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ours, "find_gpu", lambda: None)


def _cpu_build(stand_in: StandIn, _: pytest.MonkeyPatch) -> None:
    stand_in.built = [CPU]


def _no_cudnn(stand_in: StandIn, _: pytest.MonkeyPatch) -> None:
    stand_in.gpu_error = RuntimeError("libcudnn.so.9: cannot open")


def _no_tensorrt(_: StandIn, patch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise OSError("libnvinfer.so.10: cannot open shared object file: No such file or directory")

    patch.setattr(ours, "load_provider", fail)


def _no_package(_: StandIn, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ours, "plugin_installed", lambda: False)


def _no_devices(stand_in: StandIn, _: pytest.MonkeyPatch) -> None:
    stand_in.devices = []


@pytest.mark.parametrize(
    ("name", "break_it", "detail", "remedy"),
    [
        ("onnxruntime-cuda", _cpu_build, "no provider CUDA, only CPU", "pip install 'edgeseg[gpu]' (onnx"),
        ("onnxruntime-tensorrt", _cpu_build, "has no provider TensorRT", "own the same files"),
        ("onnxruntime-cuda", _no_driver, "no NVIDIA GPU with a driver", "driver"),
        ("onnxruntime-cuda", _no_cudnn, "CUDA does not start: libcudnn.so.9: cannot open", "CUDA and cuDNN"),
        ("onnxruntime-tensorrt", _no_tensorrt, "TensorRT does not start: libnvinfer.so.10: cannot open", "LD_LIBRARY_PATH"),
        ("onnxruntime-tensorrt-rtx", _no_package, f"{PLUGIN} is not installed", "pip install onnxruntime-ep-nv-tensorrt-rtx-cu13"),
        ("onnxruntime-tensorrt-rtx", _no_driver, "no NVIDIA GPU", "driver"),
        ("onnxruntime-tensorrt-rtx", _no_devices, "TensorRT-RTX finds no GPU", "CUDA"),
    ],
)  # fmt: skip
def test_a_probe_says_what_is_missing(
    install: Installer, monkeypatch: pytest.MonkeyPatch, name: str, break_it: Callable[..., None], detail: str, remedy: str
) -> None:
    """And what brings it; with all of it there, the provider is usable and has nothing to remedy."""
    stand_in = install(StandIn({}, devices=[RTX]))
    whole = BACKENDS[name].probe()
    break_it(stand_in, monkeypatch)
    broken = BACKENDS[name].probe()

    assert (whole.usable, whole.version, whole.remedy) == (True, "9.9", "")
    assert (broken.usable, broken.version) == (False, "9.9")
    assert detail in broken.detail
    assert remedy in broken.remedy


def test_without_onnx_runtime_the_gpu_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the probe and by opening."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    for name in BY_NAME:
        probe = BACKENDS[name].probe()
        assert (probe.usable, probe.version) == (False, "")
        assert "edgeseg[gpu]" in probe.remedy
        with pytest.raises(MissingDependencyError, match=r"pip install 'edgeseg\[gpu\]'"):
            BACKENDS[name].open(tmp_path / "key.onnx", Graph({}, (), ()), "fp32", None)


def test_what_does_not_start_is_an_error_of_the_backend(tmp_path: Path) -> None:
    """Where the real library is no build for a GPU, opening says so in one error, whatever ONNX Runtime raises or warns of."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is a build for GPUs")

    with pytest.warns(UserWarning, match="not in available provider names"), pytest.raises(BackendError, match="on CPU alone"):
        _open("onnxruntime-cuda", tmp_path)


def test_the_real_library_reports_its_nodes(tmp_path: Path) -> None:
    """The interface that the stand-in copies is the one of ONNX Runtime: on a CPU all nodes are the CPU's."""
    if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        pytest.skip(f"ONNX Runtime {onnxruntime.__version__} does not report where nodes run")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*RECORD)
    file, _ = next(tiny for tiny in GRAPHS if tiny.name == "layer").write(tmp_path)

    found = assignment(onnxruntime.InferenceSession(str(file), options, providers=[CPU]))

    assert list(found.nodes) == [CPU]
    assert set(found.fallen) <= {"MatMul", "Relu", "FusedMatMul"}
    assert found.fallen.total() >= 1


def test_only_a_backend_of_a_gpu_can_be_allowed_more() -> None:
    """The permission changes nothing for the others, nor for the table itself."""
    assert backend_named("openvino", allow_cpu_fallback=True) is BACKENDS["openvino"]
    assert backend_named("onnxruntime-cuda") is BACKENDS["onnxruntime-cuda"]
    assert isinstance(backend_named("onnxruntime-cuda", allow_cpu_fallback=True), OnnxRuntime)
