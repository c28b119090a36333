"""torchvision's Mask R-CNN and Faster R-CNN."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeseg.families import maskrcnn as family
from edgeseg.families.base import KEY
from edgeseg.sources.synthetic import LABELS as SYNTHETIC_LABELS
from edgeseg.types import SizeHW

from ..nets.rcnn.config import RcnnConfig
from .base import ExportOptions, GraphModule, Shapes
from .frames import FrameRecipe
from .labels import COCO_WITH_GAPS

if TYPE_CHECKING:
    from torch import Tensor, nn

_OLD_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\2"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
)
_OLD_MASK_NAME = r"^roi_heads\.mask_head\.mask_fcn([1-4])\.(weight|bias)$"


@dataclass(frozen=True)
class RcnnRecipe(FrameRecipe, RcnnConfig):
    """How a Mask R-CNN is loaded and exported. torch is imported only inside functions, so that recipes can be listed without."""

    @property
    def family(self) -> str:
        """The runtime family that decodes the graph."""
        return family.NAME if self.masks else family.BOX_ONLY_NAME

    @property
    def takes(self) -> frozenset[str]:
        """The same as of all such nets, and the score that is looked for."""
        return super().takes | {"min_score"}

    @property
    def input_hw(self) -> SizeHW:
        """Frames as the original resizes them, before they are padded."""
        scale = min(self.shorter / min(self.frame_hw), self.longer / max(self.frame_hw))
        height, width = (int(side * scale) for side in self.frame_hw)
        return height, width

    @property
    def summary(self) -> str:
        """Trunk, input size and classes in a few words."""
        parts = [f"resnet {'-'.join(map(str, self.blocks))}", f"{self.shorter} to {self.longer}", f"{len(self.labels)} classes"]
        return ", ".join(parts if self.masks else [*parts, "boxes only"])

    def build_net(self) -> nn.Module:
        """The net without weights."""
        from ..nets.rcnn.net import Rcnn

        return Rcnn(self)

    def canonical_key(self, name: str) -> str | None:
        """The names of older torchvision releases, which the published first-generation files still have, under today's."""
        for pattern, today in _OLD_NAMES:
            name = re.sub(pattern, today, name)
        if mask := re.match(_OLD_MASK_NAME, name):
            return f"roi_heads.mask_head.{int(mask[1]) - 1}.0.{mask[2]}"
        return name

    def arranged(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same: the nets are laid out as these files are."""
        return dict(state)

    def classes_in(self, shapes: Shapes) -> int | None:
        """How many labels a file's net has."""
        shape = shapes.get("roi_heads.box_predictor.cls_score.weight")
        return shape[0] - 1 if shape else None

    def graphs(self, net: nn.Module, options: ExportOptions) -> dict[str, GraphModule]:
        """Its one graph."""
        from ..nets.rcnn.detections import SCORE_MIN
        from ..nets.rcnn.graph import RcnnGraph

        graph = RcnnGraph(net, self.graph_spec(options), SCORE_MIN if options.min_score is None else options.min_score)
        outputs = (family.MaskRcnnFamily if self.masks else family.FasterRcnnFamily).outputs
        return {KEY: GraphModule(graph.eval(), outputs)}


_V1 = RcnnRecipe("maskrcnn_resnet50_fpn", COCO_WITH_GAPS, blocks=(3, 4, 6, 3), norm_eps=0.0)
_V2 = replace(_V1, name="maskrcnn_resnet50_fpn_v2", norm_eps=1e-5, normed_heads=True)
_DEMO = RcnnRecipe(
    "maskrcnn_demo",
    tuple(label for label in SYNTHETIC_LABELS if label.is_thing),
    blocks=(2, 2, 2, 1),
    base_width=16,
    fpn_channels=48,
    box_channels=64,
    mask_channels=40,
    anchor_sides=(20.0, 34.0, 56.0, 92.0, 150.0),
    level_side=112.0,
    frame_hw=(360, 640),
    shorter=180,
    longer=320,
)
"""A small net that knows synthetic scenes; trained by ``python -m export.training --stage rcnn``."""

CONFIGS: tuple[RcnnRecipe, ...] = (
    _V1,
    _V2,
    replace(_V1, name="fasterrcnn_resnet50_fpn", masks=False),
    replace(_V2, name="fasterrcnn_resnet50_fpn_v2", masks=False),
    _DEMO,
)
