"""From what the RPN says of the anchors to proposals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.types import F32Array, SizeHW

from .anchors import level_anchors
from .boxes import RPN_WEIGHTS, clip, decode, sides
from .config import RcnnConfig
from .net import Proposed
from .select import DROPPED, Select

IOU = 0.7
PER_LEVEL = 1000
"""The best of each level that suppression begins with."""


class Proposals(NamedTuple):
    """A fixed number of boxes, best first."""

    boxes: Tensor
    """(N, 4) corners in pixels of the resized picture."""
    valid: Tensor
    """bool (N,): False where there were not enough."""


class LevelSelector(nn.Module, ABC):
    """The best anchors of every level, moved by their offsets, without those that overlap a better one of their level."""

    def __init__(self, anchors: Sequence[F32Array], count: int, select: Select) -> None:
        super().__init__()
        self.count = count
        self.per_level = max(PER_LEVEL, count)
        self.select = select
        self.levels = [f"anchors{level}" for level in range(2, 2 + len(anchors))]
        for name, level in zip(self.levels, anchors, strict=True):
            self.register_buffer(name, torch.from_numpy(level), persistent=False)

    @abstractmethod
    def ranked(self, logits: Tensor, offsets: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (n, 4) and ranks (n,) of anchors (n, 4), whose logits (n,) descend; so must ranks, but for dropped ones."""

    def forward(self, proposed: Sequence[Proposed]) -> Proposals:
        """P2 to P6 of one picture."""
        found = [self._level(self.get_buffer(name), level) for name, level in zip(self.levels, proposed, strict=True)]
        most = max(len(ranks) for _, ranks in found)
        boxes = torch.stack([F.pad(boxes, (0, 0, 0, most - len(boxes))) for boxes, _ in found])
        ranks = torch.stack([F.pad(ranks, (0, most - len(ranks)), value=DROPPED) for _, ranks in found])
        best = self.select(boxes, ranks, IOU, self.count)
        return Proposals(boxes.flatten(0, 1)[best.index], best.ranks > DROPPED)

    def _level(self, anchors: Tensor, proposed: Proposed) -> tuple[Tensor, Tensor]:
        logits, index = proposed.logits[0].topk(min(self.per_level, len(anchors)))
        return self.ranked(logits, proposed.offsets[0][index], anchors[index])


class ProposalSelector(LevelSelector):
    """By the rules of torchvision or of detectron2."""

    def __init__(self, config: RcnnConfig, size_hw: SizeHW, count: int, select: Select) -> None:
        super().__init__(level_anchors(config, size_hw), count, select)
        self.flavour = config.flavour
        self.size_hw = size_hw

    def ranked(self, logits: Tensor, offsets: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """See `LevelSelector`."""
        boxes = clip(decode(offsets, anchors, RPN_WEIGHTS), self.size_hw)
        ranks = logits if self.flavour.rank_by_logit else logits.sigmoid()
        shorter = torch.minimum(*sides(boxes))
        least = self.flavour.proposal_side_min
        kept = shorter >= least if least else shorter > 0
        return boxes, torch.where(kept, ranks, DROPPED)
