"""The terms that a panoptic net learns from (Xiong et al., UPSNet, CVPR 2019; Kim et al., Video Panoptic Segmentation, CVPR 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nets.rcnn.boxes import ROI_WEIGHTS, RPN_WEIGHTS
from .panoptic_pool import pasted
from .panoptic_targets import Boxes, Chosen, match_anchors, match_rois, rows, sample
from .panoptic_truth import OUTSIDE, STUFF_COUNT, Truths
from .rcnn_loss import ANCHOR_SMOOTHING, ANCHORS_POSITIVE_MAX, ANCHORS_SAMPLED, ROIS_POSITIVE_MAX, ROIS_SAMPLED
from .rcnn_targets import encode

SEMANTIC_STRIDE = 4
"""Pixels per cell of the semantic logits."""
DROPPED = 0.3
"""Part of the objects that a net with an unknown class is taught to call unknown."""
_NEVER = -1e4
_TINY = 1e-4
"""Keeps the slope of a root finite at 0; in cells."""


class SampledRois(NamedTuple):
    """K RoIs of each of B pictures that the heads learn from; those that may be positive come first."""

    rois: Boxes
    labels: Tensor
    """int64 (B, K): class, 0 = background."""
    slots: Tensor
    """int64 (B, K): the object of each positive."""


def rpn_loss(logits: Tensor, offsets: Tensor, anchors: Tensor, truths: Truths) -> dict[str, Tensor]:
    """Objectness and offsets of sampled anchors, both a mean over all that were sampled.

    Args:
        logits: float32 (B, A).
        offsets: float32 (B, A, 4).
        anchors: float32 (A, 4); they end past their last pixel.
        truths: what B pictures hold.
    """
    matched = match_anchors(truths, anchors)
    chosen = sample(matched.labels, ANCHORS_SAMPLED, ANCHORS_POSITIVE_MAX)
    wanted = (rows(matched.labels, chosen.index) > 0).float()
    entropy = F.binary_cross_entropy_with_logits(rows(logits, chosen.index), wanted, reduction="none")
    positive = chosen._replace(index=chosen.index[:, :ANCHORS_POSITIVE_MAX], valid=chosen.valid[:, :ANCHORS_POSITIVE_MAX])
    shifts = _shifts(truths, matched.owner, positive, Boxes(anchors[positive.index], positive.valid), RPN_WEIGHTS)
    errors = F.smooth_l1_loss(rows(offsets, positive.index), shifts, reduction="none", beta=ANCHOR_SMOOTHING)
    count = chosen.valid.sum().clamp(min=1)
    return {"objectness": _sum(entropy, chosen.valid) / count, "proposal": _sum(errors, positive.valid[..., None]) / count}


def sample_rois(proposals: Boxes, truths: Truths) -> SampledRois:
    """Which proposals, with the objects' own boxes among them, the heads learn from."""
    exists = truths.classes > 0
    rois = Boxes(torch.cat([proposals.corners, truths.boxes], dim=1), torch.cat([proposals.valid, exists], dim=1))
    matched = match_rois(truths, rois)
    chosen = sample(matched.labels, ROIS_SAMPLED, ROIS_POSITIVE_MAX)
    labels, slots = rows(matched.labels, chosen.index), rows(matched.owner, chosen.index)
    return SampledRois(Boxes(rows(rois.corners, chosen.index), chosen.valid), labels.clamp(min=0), slots)


def box_head_loss(logits: Tensor, offsets: Tensor, sampled: SampledRois, truths: Truths) -> dict[str, Tensor]:
    """Class of every RoI and offsets of the positives' own class, both a mean over all RoIs.

    Args:
        logits: float32 (B * K, classes), the background first.
        offsets: float32 (B * K, classes, 4).
        sampled: B * K RoIs.
        truths: what B pictures hold.
    """
    valid, labels = sampled.rois.valid.flatten(), sampled.labels.flatten()
    entropy = F.cross_entropy(logits, labels, reduction="none")
    own = offsets[torch.arange(len(labels), device=labels.device), labels]
    positive = Chosen(torch.arange(sampled.labels.shape[1], device=labels.device).expand_as(sampled.labels), sampled.labels > 0)
    shifts = _shifts(truths, sampled.slots, positive, sampled.rois, ROI_WEIGHTS)
    errors = F.smooth_l1_loss(own, shifts.flatten(0, 1), reduction="none")
    count = valid.sum().clamp(min=1)
    return {"class": _sum(entropy, valid) / count, "box": _sum(errors, (valid & (labels > 0))[:, None]) / count}


def _shifts(truths: Truths, owner: Tensor, positive: Chosen, boxes: Boxes, weights: tuple[float, float]) -> Tensor:
    """Offsets (B, K, 4) from boxes to the objects that they belong to; 0 where they are not positive."""
    objects = rows(truths.boxes, rows(owner, positive.index))
    # What is not positive may have no area.
    unit = boxes.corners.new_tensor([0.0, 0.0, 1.0, 1.0])
    there = positive.valid[..., None]
    return encode(torch.where(there, objects, unit), torch.where(there, boxes.corners, unit), weights)


def mask_loss(logits: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """Mean binary cross entropy of the own class. Both float32 (B, R, 28, 28), bool (B, R); 0 where there is none."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=(2, 3))
    return _sum(entropy, valid) / valid.sum().clamp(min=1)


def semantic_loss(logits: Tensor, truths: Truths) -> Tensor:
    """Mean cross entropy of the pixels. ``logits``: float32 (B, channels, H / 4, W / 4), upsampled as they are at inference."""
    upsampled = F.interpolate(logits, scale_factor=SEMANTIC_STRIDE, mode="bilinear", align_corners=False)
    return F.cross_entropy(upsampled, truths.channels.long(), ignore_index=OUTSIDE)


def panoptic_loss(semantic: Tensor, masks: Tensor, truths: Truths, void: bool) -> Tensor:
    """Mean cross entropy of the panoptic head's logits, with the true objects in its slots, at the semantic logits' size.

    Args:
        semantic: float32 (B, channels, h, w).
        masks: float32 (B, G, 28, 28), logits of the true boxes in the slots' order.
        truths: what B pictures hold.
        void: whether there is an unknown class: for objects that are left out by chance.
    """
    exists = truths.classes > 0
    kept = exists & (torch.rand(exists.shape, device=exists.device) >= DROPPED) if void else exists
    spread, inside = pasted(masks, truths.boxes, semantic.shape[2:], SEMANTIC_STRIDE)
    channel = (STUFF_COUNT + truths.classes - 1).clamp(min=0)
    seen = torch.where(kept[..., None, None], rows(semantic, channel) * inside, _NEVER)
    slots = torch.where(kept[..., None, None], seen + spread, _NEVER)
    parts = [semantic[:, :STUFF_COUNT], slots]
    if void:
        known = torch.where(kept.any(dim=1)[:, None, None], seen.amax(dim=1), 0.0)
        parts.append((semantic[:, STUFF_COUNT:].amax(dim=1) - known)[:, None])
    return F.cross_entropy(torch.cat(parts, dim=1), _wanted_slots(truths, kept), ignore_index=OUTSIDE)


def _wanted_slots(truths: Truths, kept: Tensor) -> Tensor:
    """int64 (B, h, w): channel of `panoptic_loss` at the middle of each cell of the semantic logits; what was dropped is unknown."""
    middle = slice(SEMANTIC_STRIDE // 2, None, SEMANTIC_STRIDE)
    channels, owners = (pixels[:, middle, middle].long() for pixels in (truths.channels, truths.owners))
    slots = torch.arange(kept.shape[1], device=kept.device)
    # The first entry stands for pixels without an object.
    of_owner = F.pad(STUFF_COUNT + torch.where(kept, slots, len(slots)), (1, 0))
    wanted = of_owner.gather(1, owners.flatten(1)).reshape(owners.shape)
    return torch.where(owners > 0, wanted, channels)


def flow_error(flow: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Mean distance in cells between found and true flow, both (B, 2, h, w), over what both frames show, (B, h, w) in 0..1."""
    error = ((flow - wanted).square().sum(dim=1) + _TINY**2).sqrt()
    return _sum(error, weight) / weight.sum().clamp(min=1)


def track_loss(vectors: Tensor, earlier: Tensor, truths: Truths, earlier_truths: Truths) -> Tensor:
    """Mean cross entropy of which earlier object each object is, or none of them, whose score is 0.

    Args:
        vectors: float32 (B, G, D) of the objects in slots.
        earlier: the same of the other frame.
        truths: the frame's objects.
        earlier_truths: the other frame's.
    """
    known = (earlier_truths.classes > 0)[:, None]
    scores = torch.where(known, vectors @ earlier.transpose(1, 2), _NEVER)
    same = (truths.ids[:, :, None] == earlier_truths.ids[:, None]) & known
    wanted = torch.where(same.any(dim=2), same.float().argmax(dim=2) + 1, 0)
    entropy = F.cross_entropy(F.pad(scores, (1, 0)).flatten(0, 1), wanted.flatten(), reduction="none")
    valid = ((truths.classes > 0) & ~truths.ignore).flatten()
    return _sum(entropy, valid) / valid.sum().clamp(min=1)


def _sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of what counts."""
    return (values * mask).sum()
