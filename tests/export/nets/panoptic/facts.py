"""What is known of the published UPSNet and VPSNet files, read from tests/data/panoptic, and nets of every kind with few channels."""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from edgeseg.types import Label
from export.nets.panoptic.config import VPSNET, FuseSpec
from export.recipes.panoptic import PanopticRecipe
from tests.fill_panoptic import fill_panoptic

DATA = Path(__file__).parents[3] / "data" / "panoptic"
FLOW = "flownet2"
"""Name of FlowNet2's manifest, and of its module in a VPSNet."""
UPS = (
    "upsnet_resnet50_coco",
    "upsnet_resnet50_cityscapes",
    "upsnet_resnet101_dcn_coco",
    "upsnet_resnet101_cityscapes_w_coco",
)
FUSING = ("vpsnet_fuse", "vpsnet_fusetrack")
OFFICIAL = (*UPS, *FUSING, "vpsnet_track")

SMALL_UPS = PanopticRecipe(
    "small_ups",
    tuple(Label(name, number, is_thing=number > 2) for number, name in enumerate(("sky", "road", "cat", "dog", "cow"), start=1)),
    blocks=(1, 2, 1, 1),
    deformable=True,
    gap=True,
    semantic_channels=(16, 8),
    base_width=8,
    fpn_channels=16,
    box_channels=24,
    mask_channels=8,
    norm_groups=4,
    frame_hw=(90, 130),
    shorter=90,
    longer=130,
)
SMALL_TRACK = replace(SMALL_UPS, name="small_track", flavour=VPSNET, deformable=False, gap=False, embedding=12)
SMALL_VPS = replace(SMALL_TRACK, name="small_vps", fuse=FuseSpec(flow_width=0.05))
"""It fuses and tracks."""


@functools.cache
def _manifests() -> dict[str, Any]:
    return json.loads(gzip.decompress((DATA / "manifests.json.gz").read_bytes()))


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Official parameter names and shapes of a net; those of a net that fuses without FlowNet2's, which are those of `FLOW`."""
    return {key: tuple(shape) for key, shape in _manifests()[name].items()}


def whole_manifest(name: str) -> dict[str, tuple[int, ...]]:
    """The same with FlowNet2's where the net has it."""
    flow = manifest(FLOW) if name in FUSING else {}
    return manifest(name) | {f"{FLOW}.{key}": shape for key, shape in flow.items()}


def classes(data_set: str) -> list[tuple[str, int | None, bool]]:
    """The channels of the semantic head: name, COCO's id, whether it is a thing."""
    return [(name, number, thing) for name, number, thing in json.loads((DATA / "classes.json").read_text())[data_set]]


def filled(recipe: PanopticRecipe) -> nn.Module:
    """The evaluation-mode net with reproducible weights."""
    net = recipe.build_net()
    net.load_state_dict(fill_panoptic({name: tuple(value.shape) for name, value in net.state_dict().items()}))
    return net.eval().requires_grad_(False)
