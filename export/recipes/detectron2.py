"""What detectron2's model zoo calls and lays out differently from torchvision, whose key names the nets have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

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
_BACKGROUND_ROWS = {"roi_heads.box_predictor.bbox_pred.": 4, "roi_heads.mask_predictor.mask_fcn_logits.": 1}
"""Layers of the net that have rows for the background and of the files that have none."""


def canonical_key(name: str) -> str | None:
    """A name in a file of detectron2 as the net has it; None for constants that are no weights.

    Names of torchvision are foreign here: under these the same shapes may hold weights of another net.
    """
    if _LEFTOVERS.fullmatch(name):
        return None
    for pattern, begin in _RENAMED.items():
        if found := re.match(pattern, name):
            numbers = {key: int(value) - _FIRST.get(key, 0) for key, value in found.groupdict().items()}
            return begin.format(**numbers) + name[found.end() :]
    return f"{name} (not a name of detectron2)"


def background_first(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Entries under the net's names with classes as detectron2 orders them -> the same with the background as class 0.

    The background's scores move from the last row to the first; boxes and masks of the background, which are never read, are zeros.
    """
    arranged = dict(state)
    for name, value in state.items():
        if value.ndim and name.startswith("roi_heads.box_predictor.cls_score."):
            arranged[name] = value.roll(1, 0)
        for begin, rows in _BACKGROUND_ROWS.items():
            if value.ndim and name.startswith(begin):
                padded = value.new_zeros((rows + len(value), *value.shape[1:]))
                padded[rows:] = value
                arranged[name] = padded
    return arranged
