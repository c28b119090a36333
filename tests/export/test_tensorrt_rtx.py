"""Exported graphs parse and build in TensorRT-RTX, strongly typed, on a machine without a GPU.

That is a check of operators, types and shapes; it says nothing of speed. Needs the extra ``tensorrt-check``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.bundle import read_bundle
from tests.build_engines import needs_rtx, require_built
from tests.export.conftest import Traced
from tests.export.tiny import VARIANTS

pytestmark = needs_rtx


def _require_whole(file: Path, plan_bytes: int) -> None:
    """The weights are in the engine, not left behind."""
    assert plan_bytes > file.stat().st_size // 2


@pytest.mark.parametrize("variant", [name for name, (_, options, _) in VARIANTS.items() if options.target != "cpu"])
def test_small_nets_build(tiny_graph: Callable[[str], Traced], variant: str) -> None:
    """Every kind of input, of NMS and of layer, and the warp by flow, with the names, dtypes and shapes that the manifest holds."""
    traced = tiny_graph(variant)

    _require_whole(traced.file, require_built(traced.file, traced.graph).plan_bytes)


@pytest.mark.parametrize("config", ["yolact_resnet50", "yolact_plus_resnet50", "yolact_edge_vid_resnet50"])
def test_official_configurations_build(official_bundle: Callable[[str], Path], config: str) -> None:
    """At full size: plain, with deformable convolutions and the MaskIoU net, and both graphs of video with the weights beside them."""
    bundle = read_bundle(official_bundle(config))

    for name, graph in bundle.graphs.items():
        for precision in graph.files:
            file = bundle.file(name, precision)
            _require_whole(file, require_built(file, graph, precision).plan_bytes)


@pytest.mark.parametrize("capability", ["sm80", "sm86", "sm89", "sm120"])
def test_a_small_mask_rcnn_builds_for_every_gpu(tiny_graph: Callable[[str], Traced], capability: str) -> None:
    """Of each generation that TensorRT-RTX names, with the operators of ``--target tensorrt``."""
    traced = tiny_graph("rcnn_tensorrt")

    _require_whole(traced.file, require_built(traced.file, traced.graph, wanted=(capability,)).plan_bytes)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["sm80", "sm86", "sm89", "sm120"])
@pytest.mark.parametrize("config", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_official_mask_rcnns_build(rcnn_bundle: Callable[..., Path], config: str, capability: str) -> None:
    """At full size, with 1000 proposals and 100 detections."""
    bundle = read_bundle(rcnn_bundle(config, "astronaut_480", "tensorrt"))

    file = bundle.file("key", "fp32")
    _require_whole(file, require_built(file, bundle.graphs["key"], wanted=(capability,)).plan_bytes)
