"""What each anchor and each region of interest (RoI) should say (Ren et al., Faster R-CNN, 2015; He et al., Mask R-CNN, 2017)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .loss import box_iou

BACKGROUND, NEITHER = 0, -1
ANCHOR_POSITIVE_IOU, ANCHOR_NEGATIVE_IOU = 0.7, 0.3
ROI_POSITIVE_IOU = 0.5


class Truth(NamedTuple):
    """The objects of one picture at the size of the network's input."""

    boxes: Tensor
    """float32 (N, 4): corners in pixels."""
    classes: Tensor
    """int64 (N,): 1-based; 0 is background."""
    ignore: Tensor
    """bool (N,): slivers that are neither wanted nor punished."""


class Matched(NamedTuple):
    """The object that each of R boxes belongs to."""

    labels: Tensor
    """int64 (R,): the object's class, BACKGROUND or NEITHER."""
    owner: Tensor
    """int64 (R,): index of the object; without meaning where the label is not positive."""


def match_anchors(truth: Truth, anchors: Tensor) -> Matched:
    """Positive from an IoU of 0.7 with an object, and each object's best anchors however small theirs; background below 0.3.

    Args:
        truth: N objects.
        anchors: float32 (R, 4) corners in the same pixels.
    """
    if not len(truth.boxes):
        return _all_background(len(anchors))
    iou = box_iou(truth.boxes, anchors)
    best, owner = iou.max(dim=0)
    labels = torch.where(best < ANCHOR_NEGATIVE_IOU, BACKGROUND, NEITHER)
    highest = iou.max(dim=1, keepdim=True).values
    favourite = ((iou == highest) & (highest > 0)).any(dim=0)
    labels = torch.where((best >= ANCHOR_POSITIVE_IOU) | favourite, truth.classes[owner], labels)
    return _without_slivers(truth, labels, owner)


def match_rois(truth: Truth, rois: Tensor) -> Matched:
    """Positive from an IoU of 0.5, else background. ``rois``: float32 (R, 4) corners."""
    if not len(truth.boxes):
        return _all_background(len(rois))
    best, owner = box_iou(truth.boxes, rois).max(dim=0)
    return _without_slivers(truth, torch.where(best >= ROI_POSITIVE_IOU, truth.classes[owner], BACKGROUND), owner)


def _all_background(count: int) -> Matched:
    zeros = torch.zeros(count, dtype=torch.int64)
    return Matched(zeros, zeros)


def _without_slivers(truth: Truth, labels: Tensor, owner: Tensor) -> Matched:
    return Matched(torch.where((labels > 0) & truth.ignore[owner], NEITHER, labels), owner)


def sample(labels: Tensor, count: int, positives: int) -> Tensor:
    """Indices int64 (K,), K <= count, of a random choice: at most ``positives`` positives first, then background."""
    positive, negative = (labels > 0).nonzero()[:, 0], (labels == BACKGROUND).nonzero()[:, 0]
    some = _some(positive, positives)
    return torch.cat([some, _some(negative, count - len(some))])


def _some(indices: Tensor, count: int) -> Tensor:
    return indices[torch.randperm(len(indices))[:count]]


def encode(boxes: Tensor, references: Tensor, weights: tuple[float, float]) -> Tensor:
    """Offsets (..., 4) that move each reference onto its box, both corners (..., 4): the inverse of `boxes.decode`."""
    size, reference_size = boxes[..., 2:] - boxes[..., :2], references[..., 2:] - references[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - references[..., :2] - references[..., 2:]) / 2
    return torch.cat([weights[0] * shift / reference_size, weights[1] * torch.log(size / reference_size)], dim=-1)
