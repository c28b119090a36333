"""From what the RPN says of the anchors to proposals."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.types import SizeHW

from ..rcnn.boxes import GROWTH_MAX, RPN_WEIGHTS, decode
from ..rcnn.proposals import LevelSelector
from ..rcnn.select import Select
from .anchors import level_anchors
from .boxes import clip, with_ends
from .config import PanopticConfig


class ProposalSelector(LevelSelector):
    """By the rules of UPSNet or VPSNet; proposals have ends (`boxes`)."""

    def __init__(self, config: PanopticConfig, size_hw: SizeHW, count: int, select: Select) -> None:
        anchors = (with_ends(torch.from_numpy(level)).numpy() for level in level_anchors(config, size_hw))
        super().__init__(list(anchors), count, select)
        self.growth_min = -GROWTH_MAX if config.flavour.proposal_shrink_limited else None
        self.size_hw = size_hw

    def ranked(self, logits: Tensor, offsets: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """See `LevelSelector`; none is too small."""
        return clip(decode(offsets, anchors, RPN_WEIGHTS, self.growth_min), self.size_hw), logits.sigmoid()
