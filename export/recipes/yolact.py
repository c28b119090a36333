"""The official YOLACT, YOLACT++ and YolactEdge configurations, and the small nets of the demo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeseg.bundle import InputSpec, Setting
from edgeseg.errors import UsageError
from edgeseg.families import yolact as family
from edgeseg.families.base import IMAGE, KEY, WARP
from edgeseg.ops.nms import NmsSettings
from edgeseg.sources.synthetic import LABELS as SYNTHETIC_LABELS
from edgeseg.types import SizeHW

from ..nets.config import BackboneSpec, FlowSpec, YolactConfig
from .base import ExportOptions, GraphModule, Recipe, Shapes
from .labels import COCO, PASCAL, YOUTUBE_VIS

if TYPE_CHECKING:
    from torch import Tensor, nn

_DOWNSAMPLE_LAYERS = 2
_CARRY = {family.KEY_SUM4: family.SUM4, family.KEY_SUM5: family.SUM5, family.KEY_REDUCED: family.REDUCED}
"""Input of the graph for warped frames -> output of the key graph, in the order of the modules' arguments and results."""


@dataclass(frozen=True)
class YolactRecipe(YolactConfig):
    """How a YOLACT configuration is loaded and exported. torch is imported only inside functions, so that recipes can be listed without."""

    @property
    def family(self) -> str:
        """The runtime family that decodes the graph."""
        return family.NAME

    @property
    def input_hw(self) -> SizeHW:
        """The square network input."""
        return self.size, self.size

    @property
    def takes(self) -> frozenset[str]:
        """Its input is a square of any size."""
        return frozenset({"size", "cross_class_nms"})

    @property
    def summary(self) -> str:
        """Trunk, input size and classes in a few words."""
        kind = f"{self.backbone.kind} {'-'.join(map(str, self.backbone.blocks))}".strip()
        parts = [kind, f"{self.size} x {self.size}", f"{len(self.labels)} classes"]
        if self.backbone.dcn_blocks:
            parts.insert(1, "deformable")
        if self.flow is not None:
            parts.append("video")
        return ", ".join(parts)

    @property
    def settings(self) -> Mapping[str, Setting]:
        """None."""
        return {}

    @property
    def flow_prefix(self) -> str:
        """The flow net of a video model has always been in the same file."""
        return ""

    def with_options(self, options: ExportOptions) -> YolactRecipe:
        """The same net at the input size asked for."""
        if options.size is None:
            return self
        if len(options.size) > 1:
            raise UsageError(f"{self.name} has a square input; give one number of pixels with --size")
        return self.with_size(options.size[0])

    def input_spec(self, options: ExportOptions) -> InputSpec:
        """Frames of any shape are stretched to the square."""
        return InputSpec(self.input_hw, options.input_dtype)

    def same_net(self, other: Recipe) -> bool:
        """Whether both are one net: yolact_base and yolact_edge are, yolact_base and yolact_im700 are not."""
        return isinstance(other, YolactRecipe) and replace(other, name=self.name) == self

    def build_net(self) -> nn.Module:
        """The net without weights."""
        from ..nets.flow import YolactVideo
        from ..nets.yolact import Yolact

        return Yolact(self) if self.flow is None else YolactVideo(self)

    def canonical_key(self, name: str) -> str | None:
        """YolactEdge's split pyramid under YOLACT's names, without the leftovers that old files carry (yolact.py load_weights)."""
        canonical = re.sub(r"^fpn_phase_[12]\.", "fpn.", name)
        extra_level = re.match(r"fpn\.downsample_layers\.(\d+)\.", canonical)
        if extra_level and int(extra_level[1]) >= _DOWNSAMPLE_LAYERS:
            return None
        if re.match(r"flow_net\.(pred1|upfeat2|upflow2)\.", canonical):
            return None
        if canonical.startswith("backbone.layer") and not canonical.startswith("backbone.layers"):
            return None
        return canonical

    def arranged(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same: both code bases lay out their tensors alike."""
        return dict(state)

    def classes_in(self, shapes: Shapes) -> int | None:
        """How many labels a file's net has."""
        shape = shapes.get("semantic_seg_conv.weight")
        return shape[0] if shape else None

    def graphs(self, net: nn.Module, options: ExportOptions) -> dict[str, GraphModule]:
        """The graph of an image model, or those for key frames and for warped frames of a video model."""
        from ..nets.detect import YolactGraph
        from ..nets.video import KeyGraph, WarpGraph

        settings = NmsSettings(cross_class=options.cross_class_nms)
        found = family.YolactFamily.outputs
        if self.mask_iou:
            found = (*found, family.MASK_IOU)
        if self.flow is None:
            return {KEY: GraphModule(YolactGraph(net, self, settings).eval(), found)}
        carried = tuple(_CARRY.values())
        return {
            KEY: GraphModule(KeyGraph(net, self, settings).eval(), (*found, *carried), carry=_CARRY),
            WARP: GraphModule(WarpGraph(net, self, settings).eval(), found, inputs=(IMAGE, *_CARRY)),
        }


_RESNET101 = BackboneSpec("resnet", selected=(1, 2, 3), blocks=(3, 4, 23, 3))
_RESNET50 = replace(_RESNET101, blocks=(3, 4, 6, 3))
_SCALES_550 = ((24.0,), (48.0,), (96.0,), (192.0,), (384.0,))

_BASE = YolactRecipe("yolact_base", COCO, _RESNET101, size=550, scales=_SCALES_550)
_RESNET50_COCO = replace(_BASE, name="yolact_resnet50", backbone=_RESNET50)
_PLUS_BASE = replace(
    _BASE,
    name="yolact_plus_base",
    backbone=replace(_RESNET101, dcn_blocks=(0, 4, 23, 3), dcn_interval=3),
    scales=tuple(tuple(side * 2 ** (third / 3) for third in range(3)) for (side,) in _SCALES_550),
    square_anchors=False,
    mask_iou=True,
)
_YOUTUBE_VIS = replace(_BASE, name="yolact_edge_youtubevis", labels=YOUTUBE_VIS)
_VIDEO = replace(_YOUTUBE_VIS, name="yolact_edge_vid", flow=FlowSpec())

_DEMO = YolactRecipe(
    "yolact_demo",
    tuple(label for label in SYNTHETIC_LABELS if label.is_thing),
    BackboneSpec("resnet", selected=(1, 2, 3), blocks=(2, 2, 3, 2), base_width=16),
    size=320,
    scales=((20.0,), (40.0,), (80.0,), (150.0,), (240.0,)),
    square_anchors=False,
    fpn_channels=64,
    proto_channels=64,
    head_channels=64,
    mask_dim=16,
)
"""Image part of the net that ships with edgeseg; trained by ``python -m export.training``."""

CONFIGS: tuple[YolactRecipe, ...] = (
    _BASE,
    _RESNET50_COCO,
    replace(
        _BASE,
        name="yolact_darknet53",
        backbone=BackboneSpec("darknet", selected=(2, 3, 4), blocks=(1, 2, 8, 8, 4), base_width=32),
        normalisation="darknet",
    ),
    replace(_BASE.with_size(400), name="yolact_im400"),
    replace(_BASE.with_size(700), name="yolact_im700"),
    replace(
        _RESNET50_COCO,
        name="yolact_resnet50_pascal",
        labels=PASCAL,
        scales=((32.0,), (64.0,), (128.0,), (256.0,), (512.0,)),
        square_anchors=False,
    ),
    _PLUS_BASE,
    replace(
        _PLUS_BASE,
        name="yolact_plus_resnet50",
        backbone=replace(_RESNET50, dcn_blocks=(0, 4, 6, 3)),
    ),
    replace(_BASE, name="yolact_edge"),
    replace(_RESNET50_COCO, name="yolact_edge_resnet50"),
    replace(_BASE, name="yolact_edge_mobilenetv2", backbone=BackboneSpec("mobilenetv2", selected=(3, 4, 6))),
    _YOUTUBE_VIS,
    replace(_YOUTUBE_VIS, name="yolact_edge_youtubevis_resnet50", backbone=_RESNET50),
    _VIDEO,
    replace(_VIDEO, name="yolact_edge_vid_resnet50", backbone=_RESNET50),
    replace(_VIDEO, name="yolact_edge_vid_minimal", flow=FlowSpec(spa=False)),
    _DEMO,
    replace(_DEMO, name="yolact_demo_video", flow=FlowSpec(encode_channels=16)),
)
