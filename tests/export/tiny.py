"""YOLACTs small enough to be traced in seconds, with everything that the official ones have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from edgeseg.families.base import KEY, WARP
from edgeseg.types import Label
from export.nets.config import BackboneSpec, FlowSpec
from export.recipes.base import ExportOptions
from export.recipes.yolact import YolactRecipe
from tests.fill_weights import fill_state_dict

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
VARIANTS = {
    "plain": (TINY, ExportOptions(), KEY),
    "float32": (TINY, ExportOptions(input_dtype="float32"), KEY),
    "cross_class": (TINY, ExportOptions(cross_class_nms=True), KEY),
    "plus": (TINY_PLUS, ExportOptions(), KEY),
    "video": (TINY_VIDEO, ExportOptions(), KEY),
    "warp": (TINY_VIDEO, ExportOptions(input_dtype="float32"), WARP),
    "warp_minimal": (TINY_VIDEO_MINIMAL, ExportOptions(), WARP),
}
"""Recipes with the options to export them by, and which of their graphs is meant."""


def filled(recipe: YolactRecipe) -> nn.Module:
    """The evaluation-mode net with reproducible weights that give a few dozen detections."""
    net = recipe.build_net()
    state = fill_state_dict({name: tuple(value.shape) for name, value in net.state_dict().items()})
    # The official background bias would silence a net of so few channels.
    state["prediction_layers.0.conf_layer.bias"].view(-1, recipe.num_classes)[:, 0] -= 1
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def tiny_weights(folder: Path, recipe: YolactRecipe = TINY) -> Path:
    """A weights file of the net."""
    file = folder / "tiny.pth"
    torch.save(filled(recipe).state_dict(), file)
    return file
