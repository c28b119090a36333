"""Mask R-CNN and Faster R-CNN of detectron2's model zoo, in the nets that have torchvision's key names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeseg.bundle import InputSpec
from edgeseg.families import maskrcnn as family
from edgeseg.geometry import ANTIALIAS
from edgeseg.types import SizeHW

from ..nets.rcnn.config import DETECTRON2
from .base import ExportOptions
from .labels import COCO
from .maskrcnn import RcnnRecipe

if TYPE_CHECKING:
    from torch import Tensor

_LEFTOVERS = re.compile(r"pixel_mean|pixel_std|proposal_generator\.anchor_generator\.cell_anchors\.\d+")
_STAGE = r"backbone\.bottom_up\.res(?P<stage>\d)\.(?P<block>\d+)\."
_RENAMED = {
    r"backbone\.bottom_up\.stem\.conv1\.norm\.": "backbone.body.bn1.",
    r"backbone\.bottom_up\.stem\.conv1\.": "backbone.body.conv1.",
    _STAGE + r"conv(?P<index>\d)\.norm\.": "backbone.body.layer{stage}.{block}.bn{index}.",
    _STAGE + r"conv(?P<index>\d)\.": "backbone.body.layer{stage}.{block}.conv{index}.",
    _STAGE + r"shortcut\.norm\.": "backbone.body.layer{stage}.{block}.downsample.1.",
    _STAGE + r"shortcut\.": "backbone.body.layer{stage}.{block}.downsample.0.",
    r"backbone\.fpn_lateral(?P<level>\d)\.": "backbone.fpn.inner_blocks.{level}.0.",
    r"backbone\.fpn_output(?P<level>\d)\.": "backbone.fpn.layer_blocks.{level}.0.",
    r"proposal_generator\.rpn_head\.conv\.": "rpn.head.conv.0.0.",
    r"proposal_generator\.rpn_head\.objectness_logits\.": "rpn.head.cls_logits.",
    r"proposal_generator\.rpn_head\.anchor_deltas\.": "rpn.head.bbox_pred.",
    r"roi_heads\.box_head\.fc1\.": "roi_heads.box_head.fc6.",
    r"roi_heads\.box_head\.fc2\.": "roi_heads.box_head.fc7.",
    r"roi_heads\.box_predictor\.cls_score\.": "roi_heads.box_predictor.cls_score.",
    r"roi_heads\.box_predictor\.bbox_pred\.": "roi_heads.box_predictor.bbox_pred.",
    r"roi_heads\.mask_head\.mask_fcn(?P<conv>\d)\.": "roi_heads.mask_head.{conv}.0.",
    r"roi_heads\.mask_head\.deconv\.": "roi_heads.mask_predictor.conv5_mask.",
    r"roi_heads\.mask_head\.predictor\.": "roi_heads.mask_predictor.mask_fcn_logits.",
}
"""How a name begins in a file -> how it begins in the net; where both count something, the numbers of `_FIRST` come off."""
_FIRST = {"stage": 1, "level": 2, "conv": 1}
_SCORES = "roi_heads.box_predictor.cls_score"
_BACKGROUND_ROWS = {"roi_heads.box_predictor.bbox_pred": 4, "roi_heads.mask_predictor.mask_fcn_logits": 1}
"""Layers of the net whose first rows are the background's, which files have not."""


@dataclass(frozen=True)
class Detectron2Recipe(RcnnRecipe):
    """How a net of detectron2 is loaded and exported."""

    @property
    def family(self) -> str:
        """The runtime family that decodes the graph; it pastes masks as detectron2 does."""
        return family.DETECTRON2_NAME if self.masks else family.BOX_ONLY_NAME

    @property
    def input_hw(self) -> SizeHW:
        """Frames as detectron2 resizes them: the shorter side first, then both again if the longer one became too long, halves up.

        The order matters where a side ends in a half: frames twice as wide as high become 667 rows high, not 666.
        """
        scale = self.shorter / min(self.frame_hw)
        sides = [float(self.shorter) if side == min(self.frame_hw) else side * scale for side in self.frame_hw]
        again = self.longer / max(sides) if max(sides) > self.longer else 1.0
        height, width = (int(side * again + 0.5) for side in sides)
        return height, width

    def input_spec(self, options: ExportOptions) -> InputSpec:
        """Pictures are resized with antialiasing."""
        return replace(super().input_spec(options), resample=ANTIALIAS)

    def canonical_key(self, name: str) -> str | None:
        """The name that the layer has in torchvision.

        Names of torchvision are foreign here: under these, the same shapes may hold weights of another net.
        """
        if _LEFTOVERS.fullmatch(name):
            return None
        for pattern, begin in _RENAMED.items():
            if found := re.match(pattern, name):
                numbers = {key: int(value) - _FIRST.get(key, 0) for key, value in found.groupdict().items()}
                return begin.format(**numbers) + name[found.end() :]
        return f"{name} (not a name of detectron2)"

    def arranged(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The background, which detectron2 puts last among scores and leaves out elsewhere, becomes class 0 of every layer.

        What layers other than the scores say of the background is never read; their rows for it are zeros.
        """
        arranged = dict(state)
        for name, value in state.items():
            layer, _, _ = name.rpartition(".")
            if not value.ndim:
                continue
            if layer == _SCORES:
                arranged[name] = value.roll(1, 0)
            elif layer in _BACKGROUND_ROWS:
                rows = _BACKGROUND_ROWS[layer]
                arranged[name] = value.new_zeros((rows + len(value), *value.shape[1:]))
                arranged[name][rows:] = value
        return arranged


_R50 = Detectron2Recipe("maskrcnn_resnet50_fpn_d2", COCO, blocks=(3, 4, 6, 3), flavour=DETECTRON2)
_R101 = replace(_R50, name="maskrcnn_resnet101_fpn_d2", blocks=(3, 4, 23, 3))

CONFIGS: tuple[Detectron2Recipe, ...] = (
    _R50,
    _R101,
    replace(_R50, name="fasterrcnn_resnet50_fpn_d2", masks=False),
    replace(_R101, name="fasterrcnn_resnet101_fpn_d2", masks=False),
)
