"""UPSNet and VPSNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeseg.bundle import Setting
from edgeseg.families import panoptic as family
from edgeseg.families.base import FUSE, IMAGE, KEY
from edgeseg.sources.synthetic import LABELS as SYNTHETIC_LABELS
from edgeseg.types import SizeHW

from ..nets.panoptic.config import UPSNET, VPSNET, FuseSpec, PanopticConfig
from .base import ExportOptions, GraphModule, Shapes
from .frames import FrameRecipe
from .labels import CITYSCAPES, CITYSCAPES_VPS, COCO_PANOPTIC

if TYPE_CHECKING:
    from torch import Tensor, nn

_OUTPUTS = (family.BOXES, family.SCORES, family.CLASSES, family.MASK_LOGITS, family.SEMANTIC)
_CARRY = {family.REFERENCE_BSF: family.BSF, family.REFERENCE_IMAGE: family.CARRIED_IMAGE}


@dataclass(frozen=True)
class PanopticRecipe(FrameRecipe, PanopticConfig):
    """How a UPSNet or VPSNet is loaded and exported. torch is imported only inside functions, so that recipes can be listed without."""

    stuff_area_limit: int = 2048
    """Stuff classes that cover fewer pixels of the picture are left out of the map."""

    @property
    def family(self) -> str:
        """The runtime family that decodes the graphs."""
        return family.NAME

    @property
    def settings(self) -> dict[str, Setting]:
        """What the family cannot see in the graphs."""
        return {family.VOID: self.flavour.void, family.STUFF_AREA_LIMIT: self.stuff_area_limit}

    @property
    def input_hw(self) -> SizeHW:
        """Frames as the originals resize them: UPSNet rounds halves to the even pixel, and looks at the rounded longer side."""
        scale = self.shorter / min(self.frame_hw)
        if self.flavour.rgb:
            scale = min(scale, self.longer / max(self.frame_hw))
            return int(self.frame_hw[0] * scale + 0.5), int(self.frame_hw[1] * scale + 0.5)
        if round(scale * max(self.frame_hw)) > self.longer:
            scale = self.longer / max(self.frame_hw)
        return round(self.frame_hw[0] * scale), round(self.frame_hw[1] * scale)

    @property
    def summary(self) -> str:
        """Trunk, input size, classes and what a video model adds, in a few words."""
        stuff = self.stuff_count
        parts = [
            f"resnet {'-'.join(map(str, self.blocks))}{' DCN' if self.deformable else ''}",
            f"{self.shorter} to {self.longer}",
            f"{stuff} stuff and {len(self.labels) - stuff} thing classes",
        ]
        added = {"earlier frame's features": self.fuse is not None, "track head": self.embedding is not None}
        return ", ".join([*parts, *(what for what, has in added.items() if has)])

    @property
    def flow_prefix(self) -> str:
        """FlowNet2 was published apart from VPSNet too."""
        return "flownet2." if self.fuse is not None and self.fuse.flow_width is None else ""

    def build_net(self) -> nn.Module:
        """The net without weights."""
        from ..nets.panoptic.net import UpsNet, VpsNet

        return VpsNet(self) if self.flavour.rgb else UpsNet(self)

    def canonical_key(self, name: str) -> str | None:
        """The same: the nets have the names of the files."""
        return name

    def arranged(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same: the nets are laid out as the files are."""
        return dict(state)

    def classes_in(self, shapes: Shapes) -> int | None:
        """How many labels a file's net has, stuff and things."""
        shape = shapes.get("panopticFPN.conv_pred.conv.weight", shapes.get("fcn_head.score.weight"))
        return shape[0] if shape else None

    def graphs(self, net: nn.Module, options: ExportOptions) -> dict[str, GraphModule]:
        """The graph of one picture; with a fuse module, also that of a key frame after another."""
        from ..nets.panoptic.graph import FuseGraph, PanopticGraph

        spec = self.graph_spec(options)
        outputs = _OUTPUTS if self.embedding is None else (*_OUTPUTS, family.EMBEDDINGS)
        if self.fuse is None:
            return {KEY: GraphModule(PanopticGraph(net, spec).eval(), outputs)}
        outputs = (*outputs, family.BSF, family.CARRIED_IMAGE)
        return {
            KEY: GraphModule(PanopticGraph(net, spec).eval(), outputs, carry=_CARRY),
            FUSE: GraphModule(FuseGraph(net, spec).eval(), outputs, (IMAGE, *_CARRY), _CARRY),
        }


_R50, _R101 = (3, 4, 6, 3), (3, 4, 23, 3)
_COCO = PanopticRecipe("upsnet_resnet50_coco", COCO_PANOPTIC, _R50, gap=True, stuff_area_limit=4096)
_CITYSCAPES = PanopticRecipe(
    "upsnet_resnet50_cityscapes",
    CITYSCAPES,
    _R50,
    semantic_channels=(128, 128),
    frame_hw=(1024, 2048),
    shorter=1024,
    longer=2048,
)
_TRACK = replace(_CITYSCAPES, name="vpsnet_track", labels=CITYSCAPES_VPS, flavour=VPSNET, semantic_channels=(256, 128, 128), embedding=1024)
_UPSNET_DEMO = PanopticRecipe(
    "upsnet_demo",
    tuple(sorted(SYNTHETIC_LABELS, key=lambda label: label.is_thing)),
    blocks=(2, 2, 2, 1),
    flavour=UPSNET,
    semantic_channels=(32, 32),
    base_width=16,
    fpn_channels=32,
    box_channels=64,
    mask_channels=32,
    norm_groups=8,
    anchor_scale=5.0,
    level_side=112.0,
    frame_hw=(360, 640),
    shorter=252,
    longer=448,
    stuff_area_limit=64,
)
"""A small net that knows synthetic scenes; trained by ``python -m export.training --stage panoptic``."""
_VPSNET_DEMO = replace(_UPSNET_DEMO, name="vpsnet_demo", flavour=VPSNET, fuse=FuseSpec(flow_width=0.08), embedding=32)

CONFIGS: tuple[PanopticRecipe, ...] = (
    _COCO,
    _CITYSCAPES,
    replace(_COCO, name="upsnet_resnet101_dcn_coco", blocks=_R101, deformable=True),
    replace(_CITYSCAPES, name="upsnet_resnet101_cityscapes_w_coco", blocks=_R101),
    replace(_TRACK, name="vpsnet_fuse", fuse=FuseSpec(), embedding=None),
    _TRACK,
    replace(_TRACK, name="vpsnet_fusetrack", fuse=FuseSpec()),
    _UPSNET_DEMO,
    _VPSNET_DEMO,
)
