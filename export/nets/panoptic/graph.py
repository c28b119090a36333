"""The exported graphs of UPSNet and VPSNet: from the resized picture to what the panoptic head needs, which runs on the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..rcnn.config import BOX_CELLS, MASK_CELLS, padded_hw
from ..rcnn.detections import NO_DETECTION, Detections
from ..rcnn.graph import TARGETS, GraphSpec
from .boxes import with_corners
from .candidates import CandidateSelector
from .config import PanopticConfig
from .net import Normalise, UpsNet, VpsNet
from .proposals import ProposalSelector
from .roi import roi_pooler


class _Found(nn.Module):
    """Everything from a pyramid on. It has no weights; the net's are used."""

    def __init__(self, config: PanopticConfig, spec: GraphSpec) -> None:
        super().__init__()
        target, flavour = TARGETS[spec.target], config.flavour
        self.config = config
        self.proposals = ProposalSelector(config, spec.size_hw, spec.proposals, target.select_proposals)
        cut_to = padded_hw(spec.size_hw) if flavour.candidates_in_padding else spec.size_hw
        self.candidates = CandidateSelector(cut_to, spec.detections, target.select_detections)
        self.box_pooler = roi_pooler(config, BOX_CELLS, target.align)
        self.mask_pooler = roi_pooler(config, MASK_CELLS, target.align)
        self.of_detections = target.of_detections

    def forward(self, net: UpsNet | VpsNet, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """P2 to P6 -> boxes (N, 4), scores (N,), classes (N,) int64, mask logits (N, 28, 28), semantic logits (C, h, w)[, vectors (N, D)].

        Boxes are corners in pixels of the resized picture; classes are labels. Rows without a candidate have the score -1 and what the
        originals take where they find nothing: the first pixel as the background.
        """
        rois = levels[:-1]
        proposals = self.proposals(net.propose(levels))
        found = self.candidates(proposals, *net.boxes(self.box_pooler(rois, proposals.boxes)))
        masks = self.of_detections(found, lambda boxes, classes: _of_class(net.masks(self.mask_pooler(rois, boxes)), classes))
        outputs = (with_corners(found.boxes), found.scores, self._labels(found), masks, net.semantic(levels)[0])
        if not isinstance(net, VpsNet) or self.config.embedding is None:
            return outputs
        return *outputs, self.of_detections(found, lambda boxes, _: net.embed(self.box_pooler(rois, boxes)))

    def _labels(self, found: Detections) -> Tensor:
        return torch.where(found.scores > NO_DETECTION, found.classes + (self.config.stuff_count - 1), 0)


class PanopticGraph(nn.Module):
    """Of one picture: (1, h, w, 3) BGR in; out come those of `_Found` and, if frames are fused, what the next frame takes from this one.

    A net that fuses adds the picture to itself, without a flow: that is what it was trained to see where there is no frame before.
    """

    def __init__(self, net: UpsNet | VpsNet, spec: GraphSpec) -> None:
        super().__init__()
        self.net = net
        self.normalise = Normalise(net.config)
        self.padding = spec.padding
        self.found = _Found(net.config, spec)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        levels = self.net.features(self.padded(image))
        if not isinstance(self.net, VpsNet) or self.net.config.fuse is None:
            return self.found(self.net, levels)
        own = self.net.balanced(levels)
        still = own.new_zeros(1, 2, *own.shape[2:])
        return *self.found(self.net, self.net.fused(levels, own, own, still)), own, image.clone()

    def padded(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) as the net takes it."""
        return F.pad(self.normalise(image), self.padding)


class FuseGraph(PanopticGraph):
    """Of a frame after another: takes that one's last two outputs too, features (1, C, H / 4, W / 4) and picture.

    It gives what the key graph gives.
    """

    net: VpsNet

    def forward(self, image: Tensor, reference_bsf: Tensor, reference_image: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        pictures = self.padded(image), self.padded(reference_image)
        levels = self.net.features(pictures[0])
        own = self.net.balanced(levels)
        flow = self.net.flow(*(self.normalise.rgb_of(picture) for picture in pictures))
        return *self.found(self.net, self.net.fused(levels, own, reference_bsf, flow)), own, image.clone()


def _of_class(logits: Tensor, classes: Tensor) -> Tensor:
    """(N, classes, 28, 28) and (N,) -> (N, 28, 28)."""
    side = logits.shape[-1]
    chosen = classes[:, None, None, None].expand(-1, 1, side, side)
    return logits.gather(1, chosen)[:, 0]
