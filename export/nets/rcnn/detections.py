"""From class logits and offsets of the proposals to detections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from edgeseg.types import SizeHW

from .boxes import ROI_WEIGHTS, clip, decode, sides
from .config import RcnnConfig
from .proposals import Proposals
from .select import DROPPED, Select

NO_DETECTION = -1.0
"""Score of rows that hold no detection."""
SCORE_MIN = 0.05
IOU = 0.5


class Detections(NamedTuple):
    """A fixed number of detections, best first."""

    boxes: Tensor
    """(N, 4) corners in pixels of the resized picture, cut to it; 0 where there is no detection."""
    scores: Tensor
    """(N,) descending, -1 where there is no detection."""
    classes: Tensor
    """(N,) int64, 0-based foreground class."""


@dataclass(frozen=True)
class DetectionSelector:
    """Suppression class by class, then the best of all classes."""

    config: RcnnConfig
    size_hw: SizeHW
    count: int
    select: Select

    def __call__(self, proposals: Proposals, logits: Tensor, offsets: Tensor) -> Detections:
        """Logits (R, classes) and offsets (R, classes, 4) of the proposals, the background first."""
        scores = logits.softmax(dim=1)[:, 1:].t()
        boxes = clip(decode(offsets[:, 1:], proposals.boxes[:, None], ROI_WEIGHTS), self.size_hw).transpose(0, 1)
        shorter = torch.minimum(*sides(boxes))
        kept = (scores > SCORE_MIN) & proposals.valid & (shorter >= self.config.flavour.detection_side_min)
        found = self.select(boxes, torch.where(kept, scores, DROPPED), IOU, self.count)
        real = found.ranks > DROPPED
        return Detections(
            torch.where(real[:, None], boxes.flatten(0, 1)[found.index], 0.0),
            torch.where(real, found.ranks, NO_DETECTION),
            torch.div(found.index, scores.shape[1], rounding_mode="floor"),
        )
