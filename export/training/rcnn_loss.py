"""The Mask R-CNN loss: L = L_cls + L_box + L_mask of the heads, and the two terms of the region proposal network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nets.rcnn.boxes import ROI_WEIGHTS, RPN_WEIGHTS
from .rcnn_targets import Truth, encode, match_anchors, match_rois, sample

ANCHORS_SAMPLED, ANCHORS_POSITIVE_MAX = 256, 128
"""Of each picture."""
ROIS_SAMPLED, ROIS_POSITIVE_MAX = 64, 16
"""Of each picture."""
ANCHOR_SMOOTHING = 1 / 9
"""Where the smooth L1 of the proposals' offsets turns from a parabola to a line; 1 for the heads' offsets."""


class SampledRois(NamedTuple):
    """The RoIs of one picture that the heads learn from; the P positives come first."""

    rois: Tensor
    """float32 (K, 4) corners in pixels of the network's input."""
    labels: Tensor
    """int64 (K,): class, 0 = background."""
    owner: Tensor
    """int64 (P,): the object of each positive."""
    offsets: Tensor
    """float32 (P, 4): from each positive to its object, as the box head gives them."""


def rpn_loss(logits: Tensor, offsets: Tensor, anchors: Tensor, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Objectness and offsets of sampled anchors, both a mean over all that were sampled.

    Args:
        logits: float32 (B, A).
        offsets: float32 (B, A, 4).
        anchors: float32 (A, 4) corners.
        truths: what B pictures hold.
    """
    objectness, errors, count = logits.sum() * 0, offsets.sum() * 0, 0
    for i, truth in enumerate(truths):
        labels, owner = match_anchors(truth, anchors)
        chosen = sample(labels, ANCHORS_SAMPLED, ANCHORS_POSITIVE_MAX)
        positive = chosen[labels[chosen] > 0]
        count += len(chosen)
        wanted = (labels[chosen] > 0).float()
        objectness = objectness + F.binary_cross_entropy_with_logits(logits[i, chosen], wanted, reduction="sum")
        shifts = encode(truth.boxes[owner[positive]], anchors[positive], RPN_WEIGHTS)
        errors = errors + F.smooth_l1_loss(offsets[i, positive], shifts, reduction="sum", beta=ANCHOR_SMOOTHING)
    return {"objectness": objectness / max(count, 1), "proposal": errors / max(count, 1)}


def sample_rois(proposals: Tensor, truth: Truth) -> SampledRois:
    """Which proposals (R, 4), with the objects' own boxes among them, the heads learn from."""
    rois = torch.cat([proposals, truth.boxes])
    matched = match_rois(truth, rois)
    chosen = sample(matched.labels, ROIS_SAMPLED, ROIS_POSITIVE_MAX)
    labels = matched.labels[chosen]
    positive = chosen[labels > 0]
    owner = matched.owner[positive]
    offsets = encode(truth.boxes[owner], rois[positive], ROI_WEIGHTS)
    return SampledRois(rois[chosen], labels, owner, offsets)


def box_head_loss(logits: Tensor, offsets: Tensor, sampled: Sequence[SampledRois]) -> dict[str, Tensor]:
    """Class of every RoI and offsets of the positives' own class, both a mean over all RoIs.

    Args:
        logits: float32 (R, classes) of all pictures' RoIs in a row, the background first.
        offsets: float32 (R, classes, 4).
        sampled: the RoIs of each picture, R together.
    """
    labels = torch.cat([part.labels for part in sampled])
    positive = (labels > 0).nonzero()[:, 0]
    wanted = torch.cat([part.offsets for part in sampled])
    errors = F.smooth_l1_loss(offsets[positive, labels[positive]], wanted, reduction="sum")
    count = max(len(labels), 1)
    return {"class": F.cross_entropy(logits, labels, reduction="sum") / count, "box": errors / count}


def mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean binary cross entropy of the positives' own class. Both float32 (P, 28, 28); 0 where there is none."""
    if not len(wanted):
        return logits.sum() * 0
    return F.binary_cross_entropy_with_logits(logits, wanted)
