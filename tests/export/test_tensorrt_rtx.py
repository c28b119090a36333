"""Exported graphs parse and build in TensorRT-RTX, strongly typed, on a machine without a GPU.

That is a check of operators, types and shapes; it says nothing of speed. Needs the extra ``tensorrt-check``.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.bundle import Graph, TensorSpec, read_bundle
from tests.export.conftest import Traced
from tests.export.tiny import VARIANTS

_LIBRARIES = "onnxruntime_ep_nv_tensorrt_rtx"
_DTYPES = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "INT64": "int64", "INT32": "int32", "BOOL": "bool"}
"""TensorRT's names of dtypes -> numpy's."""


@pytest.fixture(scope="module")
def tensorrt() -> Any:
    """The bindings, with the libraries that another wheel carries.

    The libraries are loaded from their files: importing that wheel would write links into site-packages and change the environment.
    """
    found = importlib.util.find_spec(_LIBRARIES)
    if found is None or found.submodule_search_locations is None or importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("TensorRT-RTX is not installed: pip install -e '.[tensorrt-check]'")
    folder = Path(found.submodule_search_locations[0])
    # The parser needs the first one's symbols.
    for stem in ("libtensorrt_rtx.so.*.*", "libtensorrt_onnxparser_rtx.so.*.*"):
        ctypes.CDLL(str(max(folder.glob(stem))), mode=ctypes.RTLD_GLOBAL)
    return importlib.import_module("tensorrt_rtx_bindings")


def _build(tensorrt: Any, file: Path, *capabilities: str) -> tuple[int, list[TensorSpec], list[TensorSpec]]:
    """Bytes of the engine built from an ONNX file, and the network's inputs and outputs as it understood them.

    ``capabilities`` names the GPUs that the engine is for; none = portable.
    """
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    parsed = parser.parse_from_file(str(file))
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    assert parsed, [f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors]
    inputs = [_spec(network.get_input(i)) for i in range(network.num_inputs)]
    outputs = [_spec(network.get_output(i)) for i in range(network.num_outputs)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(capabilities)
    for index, name in enumerate(capabilities):
        config.set_compute_capability(getattr(tensorrt.ComputeCapability, name), index)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None, "parsed, but did not build"
    return engine.nbytes, inputs, outputs


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.name, _DTYPES[str(tensor.dtype).rpartition(".")[2]], tuple(tensor.shape))


def _require_built(tensorrt: Any, file: Path, graph: Graph, *capabilities: str) -> None:
    size, inputs, outputs = _build(tensorrt, file, *capabilities)

    assert inputs == list(graph.inputs)
    assert sorted(outputs, key=str) == sorted(graph.outputs, key=str)
    assert size > file.stat().st_size // 2


@pytest.mark.parametrize("variant", [name for name, (_, options, _) in VARIANTS.items() if options.target != "cpu"])
def test_small_nets_build(tensorrt: Any, tiny_graph: Callable[[str], Traced], variant: str) -> None:
    """Every kind of input, of NMS and of layer, and the warp by flow, with the names, dtypes and shapes that the manifest holds."""
    traced = tiny_graph(variant)

    _require_built(tensorrt, traced.file, traced.graph)


@pytest.mark.parametrize("config", ["yolact_resnet50", "yolact_plus_resnet50", "yolact_edge_vid_resnet50"])
def test_official_configurations_build(tensorrt: Any, official_bundle: Callable[[str], Path], config: str) -> None:
    """At full size: plain, with deformable convolutions and the MaskIoU net, and both graphs of video with the weights beside them."""
    bundle = read_bundle(official_bundle(config))

    for name, graph in bundle.graphs.items():
        _require_built(tensorrt, bundle.file(name, "fp32"), graph)


@pytest.mark.parametrize("capability", ["SM80", "SM86", "SM89", "SM120"])
def test_a_small_mask_rcnn_builds_for_every_gpu(tensorrt: Any, tiny_graph: Callable[[str], Traced], capability: str) -> None:
    """Of each generation that TensorRT-RTX names, with the operators of ``--target tensorrt``."""
    traced = tiny_graph("rcnn_tensorrt")

    _require_built(tensorrt, traced.file, traced.graph, capability)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["SM80", "SM86", "SM89", "SM120"])
@pytest.mark.parametrize("config", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_official_mask_rcnns_build(tensorrt: Any, rcnn_bundle: Callable[..., Path], config: str, capability: str) -> None:
    """At full size, with 1000 proposals and 100 detections."""
    bundle = read_bundle(rcnn_bundle(config, "astronaut_480", "tensorrt"))

    _require_built(tensorrt, bundle.file("key", "fp32"), bundle.graphs["key"], capability)
