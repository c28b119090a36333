"""Exported graphs parse and build in TensorRT-RTX, strongly typed, on a machine without a GPU.

That is a check of operators, types and shapes; it says nothing of speed. Needs the extra ``tensorrt-check``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgeseg.bundle import read_bundle
from edgeseg.data import demo_bundle
from export.recipes import RECIPES
from export.recipes.base import ExportOptions, configured
from export.to_onnx import graphs_to_onnx
from tests.build_engines import needs_rtx, require_built
from tests.export.conftest import Traced
from tests.export.reduced import require_all_built
from tests.export.tiny import VARIANTS, each
from tests.fill_panoptic import fill_panoptic

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


@pytest.mark.slow
def test_an_official_upsnet_builds(tmp_path: Path) -> None:
    """With its deformable convolutions, 1000 proposals and 100 candidates, for frames that are resized to 256x512."""
    options = ExportOptions(size=(256, 512), target="tensorrt")
    recipe = configured(RECIPES["upsnet_resnet50_cityscapes"], options)
    with torch.device("meta"):
        net = recipe.build_net()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    net.load_state_dict(fill_panoptic(shapes), assign=True)
    modules = recipe.graphs(net.eval().requires_grad_(False), options)

    graph = graphs_to_onnx(modules, recipe.input_spec(options), tmp_path, "fp32")["key"]

    require_built(tmp_path / "key.onnx", graph)
