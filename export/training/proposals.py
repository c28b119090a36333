"""What of an RPN's word the stages that come after it learn from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgeseg.types import SizeHW

from ..nets.rcnn.boxes import RPN_WEIGHTS, clip, decode, sides
from ..nets.rcnn.net import Proposed
from .loss import box_iou

CANDIDATES_PER_LEVEL = 128
"""The best anchors of each level, before suppression."""
SUPPRESSION_IOU = 0.7
SUPPRESSION_ROUNDS = 8
PROPOSAL_SIDE_MIN = 1.0
"""In pixels."""


@torch.no_grad()
def best_of_levels(proposed: Sequence[Proposed], anchors: Sequence[Tensor], input_hw: SizeHW) -> list[tuple[Tensor, Tensor]]:
    """For each level the best of B pictures: float32 (B, K, 4) corners, best first, and bool (B, K): those that overlap no better one."""
    found = []
    for (logits, offsets), level in zip(proposed, anchors, strict=True):
        best = logits.topk(min(CANDIDATES_PER_LEVEL, logits.shape[1]), dim=1).indices
        chosen = offsets.gather(1, best[..., None].expand(-1, -1, 4))
        boxes = clip(decode(chosen, level[best], RPN_WEIGHTS), input_hw)
        found.append((boxes, _survivors(boxes)))
    return found


def _survivors(boxes: Tensor) -> Tensor:
    """bool (B, K): greedy suppression among boxes (B, K, 4), best first, as the fixed point that so many rounds come to."""
    width, height = sides(boxes)
    large = (width >= PROPOSAL_SIDE_MIN) & (height >= PROPOSAL_SIDE_MIN)
    overlaps = (box_iou(boxes, boxes) > SUPPRESSION_IOU).triu(diagonal=1).float()
    kept = large
    for _ in range(SUPPRESSION_ROUNDS):
        kept = large & (torch.matmul(kept.float()[:, None], overlaps)[:, 0] == 0)
    return kept
