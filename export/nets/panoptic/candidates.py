"""From class logits and offsets of the proposals to the candidates that the panoptic head sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgeseg.types import SizeHW

from ..rcnn.boxes import ROI_WEIGHTS, decode
from ..rcnn.detections import NO_DETECTION, Detections
from ..rcnn.proposals import Proposals
from ..rcnn.select import DROPPED, Select
from .boxes import clip

SCORE_MIN = 0.6
"""Above a half, so no more than one class of a proposal passes: its best."""
IOU = 0.5
_NOTHING = (0.0, 0.0, 1.0, 1.0)
"""Box of rows without a candidate, with ends: the first pixel, which the originals take where they find nothing."""


@dataclass(frozen=True)
class CandidateSelector:
    """Suppression across classes, then the best. Where more have the score of the last row, the originals keep them too.

    VPSNet took this part over from UPSNet: however it treats the RPN's offsets, a candidate may shrink without a limit.
    """

    size_hw: SizeHW
    """That candidates are cut to."""
    count: int
    select: Select

    def __call__(self, proposals: Proposals, logits: Tensor, offsets: Tensor) -> Detections:
        """Logits (R, classes) and offsets (R, classes, 4) of the proposals, the background first.

        Boxes come with ends; classes are those of the logits, the background in rows without a candidate.
        """
        scores, classes = logits.softmax(dim=1)[:, 1:].max(dim=1)
        classes = classes + 1
        own = offsets.gather(1, classes[:, None, None].expand(-1, 1, 4))[:, 0]
        boxes = clip(decode(own, proposals.boxes, ROI_WEIGHTS), self.size_hw)
        kept = (scores > SCORE_MIN) & proposals.valid
        found = self.select(boxes[None], torch.where(kept, scores, DROPPED)[None], IOU, self.count)
        real = found.ranks > DROPPED
        return Detections(
            torch.where(real[:, None], boxes[found.index], boxes.new_tensor(_NOTHING)),
            torch.where(real, found.ranks, NO_DETECTION),
            torch.where(real, classes[found.index], 0),
        )
