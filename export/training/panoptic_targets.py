"""What anchors and RoIs of a whole batch should say, with static shapes: `rcnn_targets` without its loop over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from edgeseg.types import SizeHW

from ..nets.rcnn.net import Proposed
from .loss import box_iou
from .panoptic_truth import Truths
from .proposals import best_of_levels
from .rcnn_targets import ANCHOR_NEGATIVE_IOU, ANCHOR_POSITIVE_IOU, BACKGROUND, NEITHER, ROI_POSITIVE_IOU

"""In pixels."""


class Matched(NamedTuple):
    """The object that each of R boxes of B pictures belongs to."""

    labels: Tensor
    """int64 (B, R): the object's class, BACKGROUND or NEITHER."""
    owner: Tensor
    """int64 (B, R): slot of the object; without meaning where the label is not positive."""


class Boxes(NamedTuple):
    """The same number of boxes for each picture."""

    corners: Tensor
    """float32 (B, R, 4) in pixels; they end past their last pixel."""
    valid: Tensor
    """bool (B, R): those that count."""


class Chosen(NamedTuple):
    """K of the boxes of each picture."""

    index: Tensor
    """int64 (B, K)."""
    valid: Tensor
    """bool (B, K): False where there were not so many."""


def match_anchors(truths: Truths, anchors: Tensor) -> Matched:
    """Positive from an IoU of 0.7 with an object, and each object's best anchors however small theirs; background below 0.3.

    ``anchors``: float32 (R, 4).
    """
    iou = _overlaps(truths, anchors)
    best, owner = iou.max(dim=1)
    highest = iou.amax(dim=2, keepdim=True)
    favourite = ((iou == highest) & (highest > 0)).any(dim=1)
    otherwise = torch.where(best < ANCHOR_NEGATIVE_IOU, BACKGROUND, NEITHER)
    return _matched(truths, owner, (best >= ANCHOR_POSITIVE_IOU) | favourite, otherwise)


def match_rois(truths: Truths, rois: Boxes) -> Matched:
    """Positive from an IoU of 0.5, else background."""
    best, owner = _overlaps(truths, rois.corners).max(dim=1)
    matched = _matched(truths, owner, best >= ROI_POSITIVE_IOU, torch.full_like(owner, BACKGROUND))
    return Matched(torch.where(rois.valid, matched.labels, NEITHER), owner)


def _overlaps(truths: Truths, boxes: Tensor) -> Tensor:
    """(B, G, R); below 0 in unused slots."""
    return torch.where((truths.classes > 0)[..., None], box_iou(truths.boxes, boxes), -1.0)


def _matched(truths: Truths, owner: Tensor, positive: Tensor, otherwise: Tensor) -> Matched:
    labels = torch.where(truths.ignore.gather(1, owner), NEITHER, truths.classes.gather(1, owner))
    return Matched(torch.where(positive, labels, otherwise), owner)


def choose(wanted: Tensor, count: int) -> Chosen:
    """At most ``count`` of those that are wanted, bool (B, R), by chance."""
    chance = torch.where(wanted, torch.rand(wanted.shape, device=wanted.device), -1.0)
    best = chance.topk(min(count, wanted.shape[1]), dim=1)
    return Chosen(best.indices, best.values >= 0)


def sample(labels: Tensor, count: int, positives: int) -> Chosen:
    """At most ``positives`` positives first, then background, at most ``count`` together; labels (B, R)."""
    some, others = choose(labels > 0, positives), choose(labels == BACKGROUND, count)
    room = count - some.valid.sum(dim=1, keepdim=True)
    within = torch.arange(others.valid.shape[1], device=labels.device) < room
    return Chosen(torch.cat([some.index, others.index], dim=1), torch.cat([some.valid, others.valid & within], dim=1))


def rows(values: Tensor, index: Tensor) -> Tensor:
    """(B, R, ...) and int64 (B, K) -> (B, K, ...)."""
    shape = (*index.shape, *(1 for _ in values.shape[2:]))
    return values.gather(1, index.reshape(shape).expand(*index.shape, *values.shape[2:]))


def propose(proposed: Sequence[Proposed], anchors: Sequence[Tensor], input_hw: SizeHW) -> Boxes:
    """The best of each level, of which those count that overlap no better one."""
    boxes, valid = zip(*best_of_levels(proposed, anchors, input_hw), strict=True)
    return Boxes(torch.cat(boxes, dim=1), torch.cat(valid, dim=1))
