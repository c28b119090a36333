"""Exported graphs parse and build in TensorRT-RTX, strongly typed, on a machine without a GPU.

That is a check of operators, types and shapes; it says nothing of speed. Needs the extra ``tensorrt-check``.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.bundle import Graph, TensorSpec, read_bundle
from tests.export import build_rtx
from tests.export.conftest import Traced
from tests.export.tiny import VARIANTS

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in (build_rtx.LIBRARIES, build_rtx.BINDINGS)),
    reason="TensorRT-RTX is not installed: pip install -e '.[tensorrt-check]'",
)


def _require_built(file: Path, graph: Graph, *capabilities: str) -> None:
    command = [sys.executable, build_rtx.__file__, str(file), *capabilities]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr

    built = json.loads(ended.stdout)
    inputs, outputs = ([TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in built[side]] for side in ("inputs", "outputs"))
    assert inputs == list(graph.inputs)
    assert sorted(outputs, key=str) == sorted(graph.outputs, key=str)
    assert built["bytes"] > file.stat().st_size // 2


@pytest.mark.parametrize("variant", [name for name, (_, options, _) in VARIANTS.items() if options.target != "cpu"])
def test_small_nets_build(tiny_graph: Callable[[str], Traced], variant: str) -> None:
    """Every kind of input, of NMS and of layer, and the warp by flow, with the names, dtypes and shapes that the manifest holds."""
    traced = tiny_graph(variant)

    _require_built(traced.file, traced.graph)


@pytest.mark.parametrize("config", ["yolact_resnet50", "yolact_plus_resnet50", "yolact_edge_vid_resnet50"])
def test_official_configurations_build(official_bundle: Callable[[str], Path], config: str) -> None:
    """At full size: plain, with deformable convolutions and the MaskIoU net, and both graphs of video with the weights beside them."""
    bundle = read_bundle(official_bundle(config))

    for name, graph in bundle.graphs.items():
        _require_built(bundle.file(name, "fp32"), graph)


@pytest.mark.parametrize("capability", ["SM80", "SM86", "SM89", "SM120"])
def test_a_small_mask_rcnn_builds_for_every_gpu(tiny_graph: Callable[[str], Traced], capability: str) -> None:
    """Of each generation that TensorRT-RTX names, with the operators of ``--target tensorrt``."""
    traced = tiny_graph("rcnn_tensorrt")

    _require_built(traced.file, traced.graph, capability)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["SM80", "SM86", "SM89", "SM120"])
@pytest.mark.parametrize("config", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_official_mask_rcnns_build(rcnn_bundle: Callable[..., Path], config: str, capability: str) -> None:
    """At full size, with 1000 proposals and 100 detections."""
    bundle = read_bundle(rcnn_bundle(config, "astronaut_480", "tensorrt"))

    _require_built(bundle.file("key", "fp32"), bundle.graphs["key"], capability)
