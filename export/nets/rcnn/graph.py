"""The exported graph of a Mask R-CNN: from the resized picture to a fixed number of detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.types import SizeHW

from .config import BOX_CELLS, MASK_CELLS, padded_hw
from .detections import SCORE_MIN, DetectionSelector, OfDetections, of_all_rows
from .net import Normalise, Rcnn
from .operators import op_align, op_of_found, op_select
from .proposals import ProposalSelector
from .roi_align import Align, RoiPooler, grid_align
from .select import Select, candidate_select, matrix_select


@dataclass(frozen=True)
class Target:
    """The forms that what follows the convolutions takes."""

    align: Align
    select_proposals: Select
    select_detections: Select
    of_detections: OfDetections
    """How masks are computed: the mask branch is a quarter of the whole when it runs for a hundred rows."""


TARGETS = {
    "cpu": Target(op_align, op_select, op_select, op_of_found),
    "tensorrt": Target(grid_align, matrix_select, candidate_select, of_all_rows),
}


@dataclass(frozen=True)
class GraphSpec:
    """What of a graph the net leaves open."""

    size_hw: SizeHW
    """Of the resized picture."""
    proposals: int
    detections: int
    target: str
    """One of `TARGETS`."""

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Columns before and after, rows before and after the picture, which make its sides multiples of 32."""
        height, width = padded_hw(self.size_hw)
        return 0, width - self.size_hw[1], 0, height - self.size_hw[0]


class RcnnGraph(nn.Module):
    """The whole graph: (1, h, w, 3) BGR in, detections in pixels of it out."""

    def __init__(self, net: Rcnn, spec: GraphSpec, min_score: float = SCORE_MIN) -> None:
        super().__init__()
        config, target = net.config, TARGETS[spec.target]
        self.net = net
        self.normalise = Normalise(config)
        self.padding = spec.padding
        self.proposals = ProposalSelector(config, spec.size_hw, spec.proposals, target.select_proposals)
        self.detections = DetectionSelector(config, spec.size_hw, spec.detections, target.select_detections, min_score)
        self.box_pooler = RoiPooler(config, BOX_CELLS, target.align)
        self.mask_pooler = RoiPooler(config, MASK_CELLS, target.align)
        self.of_detections = target.of_detections

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """boxes (N, 4), scores (N,), classes (N,) int64[, masks (N, 28, 28) probabilities of the found class]."""
        levels = self.net.features(F.pad(self.normalise(image), self.padding))
        proposals = self.proposals(self.net.propose(levels))
        logits, offsets = self.net.roi_heads.boxes(self.box_pooler(levels[:-1], proposals.boxes))
        found = self.detections(proposals, logits, offsets)
        if not self.net.config.masks:
            return tuple(found)
        return *found, self.of_detections(found, lambda boxes, classes: self.masks(levels[:-1], boxes, classes))

    def masks(self, levels: Sequence[Tensor], boxes: Tensor, classes: Tensor) -> Tensor:
        """(N, 28, 28) probabilities out of P2 to P5 for boxes (N, 4) of 0-based classes (N,)."""
        return torch.sigmoid(self.net.roi_heads.masks(self.mask_pooler(levels, boxes), classes + 1))
