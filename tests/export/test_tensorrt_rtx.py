"""Exported graphs parse and build in TensorRT-RTX, strongly typed, on a machine without a GPU.

That is a check of operators, types and shapes; it says nothing of speed. Needs the extra ``tensorrt-check``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.bundle import read_bundle
from edgeseg.data import demo_bundle
from tests.build_engines import needs_rtx, require_built
from tests.export.conftest import Traced
from tests.export.reduced import require_all_built
from tests.export.tiny import VARIANTS, each

pytestmark = needs_rtx


@pytest.mark.parametrize("variant", each(name for name, (_, options, _) in VARIANTS.items() if options.target != "cpu"))
def test_small_nets_build(tiny_graph: Callable[[str], Traced], variant: str, tmp_path: Path) -> None:
    """Every kind of input, of NMS and of layer, and the warp by flow, in every precision, with the names that the manifest holds."""
    traced = tiny_graph(variant)

    require_all_built(traced.file, traced.graph, tmp_path)


@pytest.mark.parametrize("graph", ["key", "warp"])
def test_the_shipped_bundle_builds(graph: str, tmp_path: Path) -> None:
    """Both graphs, whose weights lie beside them, in every precision."""
    bundle = read_bundle(demo_bundle())

    require_all_built(bundle.file(graph, "fp32"), bundle.graphs[graph], tmp_path)


@pytest.mark.parametrize("config", ["yolact_resnet50", "yolact_plus_resnet50", "yolact_edge_vid_resnet50"])
def test_official_configurations_build(official_bundle: Callable[[str], Path], config: str) -> None:
    """At full size: plain, with deformable convolutions and the MaskIoU net, and both graphs of video with the weights beside them."""
    bundle = read_bundle(official_bundle(config))

    for name, graph in bundle.graphs.items():
        require_built(bundle.file(name, "fp32"), graph)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["yolact_resnet50", "yolact_plus_resnet50", "yolact_edge_vid_resnet50"])
def test_official_configurations_build_in_every_precision(official_bundle: Callable[[str], Path], config: str, tmp_path: Path) -> None:
    """For every generation of GPUs."""
    bundle = read_bundle(official_bundle(config))

    for name, graph in bundle.graphs.items():
        require_all_built(bundle.file(name, "fp32"), graph, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_official_mask_rcnns_build(rcnn_bundle: Callable[..., Path], config: str, tmp_path: Path) -> None:
    """At full size, with 1000 proposals and 100 detections, in every precision for every generation of GPUs."""
    bundle = read_bundle(rcnn_bundle(config, "astronaut_480", "tensorrt"))

    require_all_built(bundle.file("key", "fp32"), bundle.graphs["key"], tmp_path)
