"""Nets small enough to be traced in seconds, with everything that the official ones have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import nn

from benchmarks.fill_rcnn import BACKGROUND, fill_rcnn
from benchmarks.fill_weights import fill_state_dict
from edgeseg.families.base import FUSE, KEY, WARP
from edgeseg.types import Label
from export.nets.config import BackboneSpec, FlowSpec
from export.nets.panoptic.config import VPSNET, FuseSpec
from export.nets.rcnn.config import DETECTRON2
from export.recipes.base import ExportOptions
from export.recipes.maskrcnn import RcnnRecipe
from export.recipes.panoptic import PanopticRecipe
from export.recipes.yolact import YolactRecipe
from tests.fill_panoptic import fill_panoptic

TINY = YolactRecipe(
    "tiny",
    tuple(Label(name, number) for number, name in enumerate(("cup", "bowl", "spoon"), start=1)),
    BackboneSpec("resnet", selected=(1, 2, 3), blocks=(1, 1, 1, 1), base_width=8),
    size=96,
    scales=((8.0,), (16.0,), (32.0,), (48.0,), (80.0,)),
    square_anchors=False,
    fpn_channels=16,
    proto_channels=16,
    head_channels=16,
    mask_dim=4,
)
TINY_PLUS = YolactRecipe(
    "tiny_plus",
    TINY.labels,
    BackboneSpec("resnet", selected=(1, 2, 3), blocks=(1, 1, 1, 1), base_width=8, dcn_blocks=(0, 1, 1, 1)),
    size=256,
    scales=((16.0, 20.0), (32.0, 40.0), (64.0, 80.0), (128.0, 160.0), (200.0, 250.0)),
    fpn_channels=16,
    proto_channels=16,
    head_channels=16,
    mask_dim=4,
    mask_iou=True,
)
"""Deformable convolutions and the MaskIoU net, which needs 249 pixels."""
TINY_VIDEO = replace(TINY, name="tiny_video", flow=FlowSpec(encode_channels=8))
TINY_VIDEO_MINIMAL = replace(TINY, name="tiny_video_minimal", flow=FlowSpec(encode_channels=8, spa=False))
TINY_RCNN = RcnnRecipe(
    "tiny_rcnn",
    TINY.labels,
    blocks=(1, 1, 1, 1),
    base_width=8,
    norm_eps=0.0,
    fpn_channels=16,
    box_channels=32,
    mask_channels=16,
    frame_hw=(90, 130),
    shorter=90,
    longer=130,
)
"""Neither side is a multiple of 32, and P6's stride is not 64."""
TINY_RCNN_V2 = replace(TINY_RCNN, name="tiny_rcnn_v2", norm_eps=1e-5, normed_heads=True)
TINY_FASTER = replace(TINY_RCNN, name="tiny_faster", masks=False)
TINY_RCNN_D2 = replace(TINY_RCNN, name="tiny_rcnn_d2", norm_eps=1e-5, flavour=DETECTRON2)
_PANOPTIC_LABELS = (*(Label(name, number, is_thing=False) for number, name in enumerate(("sky", "road"), start=11)), *TINY.labels)
TINY_UPSNET = PanopticRecipe(
    "tiny_upsnet",
    _PANOPTIC_LABELS,
    blocks=(1, 1, 1, 1),
    deformable=True,
    gap=True,
    semantic_channels=(8,),
    base_width=8,
    fpn_channels=16,
    box_channels=32,
    mask_channels=16,
    level_side=56.0,
    frame_hw=(60, 90),
    shorter=60,
    longer=90,
    stuff_area_limit=4,
)
"""Neither side is a multiple of 32."""
TINY_VPSNET = replace(
    TINY_UPSNET,
    name="tiny_vpsnet",
    flavour=VPSNET,
    deformable=False,
    gap=False,
    norm_groups=4,
    fuse=FuseSpec(flow_width=0.05),
    embedding=12,
)
_FEW = ExportOptions(proposals=40, detections=20, target="cpu")
VARIANTS = {
    "plain": (TINY, ExportOptions(), KEY),
    "float32": (TINY, ExportOptions(input_dtype="float32"), KEY),
    "cross_class": (TINY, ExportOptions(cross_class_nms=True), KEY),
    "plus": (TINY_PLUS, ExportOptions(), KEY),
    "video": (TINY_VIDEO, ExportOptions(), KEY),
    "warp": (TINY_VIDEO, ExportOptions(input_dtype="float32"), WARP),
    "warp_minimal": (TINY_VIDEO_MINIMAL, ExportOptions(), WARP),
    "rcnn": (TINY_RCNN, ExportOptions(input_dtype="float32", target="cpu"), KEY),
    "rcnn_v2": (TINY_RCNN_V2, ExportOptions(proposals=40, detections=20, target="cpu"), KEY),
    "rcnn_d2": (TINY_RCNN_D2, ExportOptions(target="cpu"), KEY),
    "faster": (TINY_FASTER, ExportOptions(target="cpu"), KEY),
    "rcnn_tensorrt": (TINY_RCNN, ExportOptions(input_dtype="float32", target="tensorrt"), KEY),
    "rcnn_v2_tensorrt": (TINY_RCNN_V2, ExportOptions(proposals=40, detections=20, target="tensorrt"), KEY),
    "rcnn_d2_tensorrt": (TINY_RCNN_D2, ExportOptions(target="tensorrt"), KEY),
    "faster_tensorrt": (TINY_FASTER, ExportOptions(target="tensorrt"), KEY),
    "upsnet": (TINY_UPSNET, replace(_FEW, input_dtype="float32"), KEY),
    "vpsnet": (TINY_VPSNET, _FEW, KEY),
    "fuse": (TINY_VPSNET, _FEW, FUSE),
    "upsnet_tensorrt": (TINY_UPSNET, replace(_FEW, target="tensorrt"), KEY),
    "fuse_tensorrt": (TINY_VPSNET, replace(_FEW, target="tensorrt"), FUSE),
}
"""Recipes with the options to export them by, and which of their graphs is meant."""
_LONG = {"rcnn_tensorrt", "rcnn_d2_tensorrt", "faster_tensorrt", "vpsnet", "fuse", "upsnet_tensorrt", "fuse_tensorrt"}


def each(names: Iterable[str], *others: str) -> list[ParameterSet]:
    """Variants as parameters of a test, before what else it takes; those that take long to trace are for the slow tests."""
    return [pytest.param(name, *others, marks=[pytest.mark.slow] if name in _LONG else []) for name in names]


TinyRecipe = YolactRecipe | RcnnRecipe | PanopticRecipe


def filled(recipe: TinyRecipe) -> nn.Module:
    """The evaluation-mode net with reproducible weights that give a few dozen detections."""
    net = recipe.build_net()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    if isinstance(recipe, PanopticRecipe):
        state = fill_panoptic(shapes)
        # The background bias of the official nets would silence one of so few channels.
        for name in {"rcnn.cls_score.bias", "bbox_head.fc_cls.bias"} & state.keys():
            state[name][0] -= 10 if name.startswith("rcnn") else 13
    elif isinstance(recipe, RcnnRecipe):
        state = fill_rcnn(shapes, {BACKGROUND: 6.3, r"cls_score\.weight$": 12.0})
        if recipe.flavour.normalisation == "bgr_mean":
            state["backbone.body.conv1.weight"] /= 57
    else:
        state = fill_state_dict(shapes)
        # The official background bias would silence a net of so few channels.
        state["prediction_layers.0.conf_layer.bias"].view(-1, recipe.num_classes)[:, 0] -= 1
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def tiny_weights(folder: Path, recipe: TinyRecipe = TINY) -> Path:
    """A weights file of the net."""
    file = folder / "tiny.pth"
    torch.save(filled(recipe).state_dict(), file)
    return file
