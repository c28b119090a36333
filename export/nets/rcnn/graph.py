"""The exported graph of a Mask R-CNN: from the resized picture to a fixed number of detections."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.types import SizeHW

from .config import BOX_CELLS, MASK_CELLS, padded_hw
from .detections import DetectionSelector
from .net import Normalise, Rcnn
from .operators import op_align, op_select
from .proposals import ProposalSelector
from .roi_align import Align, RoiPooler, grid_align
from .select import Select, candidate_select, matrix_select


@dataclass(frozen=True)
class Target:
    """The forms that what follows the convolutions takes."""

    align: Align
    select_proposals: Select
    select_detections: Select


TARGETS = {
    "cpu": Target(op_align, op_select, op_select),
    "tensorrt": Target(grid_align, matrix_select, candidate_select),
}


@dataclass(frozen=True)
class GraphSpec:
    """What of a graph the net leaves open."""

    size_hw: SizeHW
    """Of the resized picture."""
    proposals: int
    detections: int
    target: str


class RcnnGraph(nn.Module):
    """The whole graph: (1, h, w, 3) BGR in, detections in pixels of it out."""

    def __init__(self, net: Rcnn, spec: GraphSpec) -> None:
        super().__init__()
        config, target = net.config, TARGETS[spec.target]
        self.net = net
        self.normalise = Normalise(config)
        height, width = padded_hw(spec.size_hw)
        self.padding = (0, width - spec.size_hw[1], 0, height - spec.size_hw[0])
        self.proposals = ProposalSelector(config, spec.size_hw, spec.proposals, target.select_proposals)
        self.detections = DetectionSelector(config, spec.size_hw, spec.detections, target.select_detections)
        self.box_pooler = RoiPooler(config, BOX_CELLS, target.align)
        self.mask_pooler = RoiPooler(config, MASK_CELLS, target.align)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """boxes (N, 4), scores (N,), classes (N,) int64[, masks (N, 28, 28) probabilities of the found class]."""
        levels = self.net.features(F.pad(self.normalise(image), self.padding))
        proposals = self.proposals(self.net.propose(levels))
        logits, offsets = self.net.roi_heads.boxes(self.box_pooler(levels[:-1], proposals.boxes))
        found = self.detections(proposals, logits, offsets)
        if not self.net.config.masks:
            return tuple(found)
        features = self.mask_pooler(levels[:-1], found.boxes)
        return *found, torch.sigmoid(self.net.roi_heads.masks(features, found.classes + 1))
