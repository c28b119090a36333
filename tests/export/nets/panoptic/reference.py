"""What UPSNet and VPSNet do between the anchors and the candidates, as plain loops over boxes whose corner is their last pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgeseg.types import AnyArray, F64Array, SizeHW
from export.nets.panoptic.config import Flavour

GROWTH_MAX = math.log(1000 / 16)


def iou(one: F64Array, others: F64Array) -> F64Array:
    """Overlap of a box (4,) with boxes (N, 4)."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    overlap = np.clip(high - low + 1, 0, None).prod(axis=1)
    found: F64Array = overlap / ((one[2:] - one[:2] + 1).prod() + (others[:, 2:] - others[:, :2] + 1).prod(axis=1) - overlap)
    return found


def nms(boxes: F64Array, scores: AnyArray, threshold: float) -> list[int]:
    """Survivors, the best first; of equal scores the earlier comes first."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[~(iou(boxes[best], boxes[order]) > threshold)]
    return kept


def moved(boxes: AnyArray, offsets: AnyArray, size_hw: SizeHW, shrink_limited: bool = False) -> F64Array:
    """Boxes (N, 4) moved by offsets (N, 4) and cut to a picture; as the originals do it, but for the RPN of VPSNet, which limits more."""
    boxes, offsets = boxes.astype(np.float64), offsets.astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2] + 1
    centre = boxes[:, :2] + 0.5 * size + offsets[:, :2] * size
    growth = np.minimum(offsets[:, 2:], GROWTH_MAX)
    if shrink_limited:
        growth = np.maximum(growth, -GROWTH_MAX)
    half = 0.5 * np.exp(growth) * size
    last = np.array([size_hw[1] - 1, size_hw[0] - 1])
    return np.concatenate([np.clip(centre - half, 0, last), np.clip(centre + half - 1, 0, last)], axis=1)


def proposals(found: Sequence[tuple[F64Array, F64Array]], per_level: int, count: int) -> tuple[F64Array, F64Array]:
    """Boxes and scores of each level -> the best of all, after suppression on their level."""
    boxes, scores = [], []
    for level_boxes, level_scores in found:
        best = np.argsort(-level_scores, kind="stable")[:per_level]
        kept = best[nms(level_boxes[best], level_scores[best], 0.7)]
        boxes.append(level_boxes[kept])
        scores.append(level_scores[kept])
    all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
    best = np.argsort(-all_scores, kind="stable")[:count]
    return all_boxes[best], all_scores[best]


def candidates(boxes: F64Array, scores: AnyArray, count: int) -> list[tuple[int, int]]:
    """Boxes (R, classes, 4) and probabilities (R, classes), the background first -> (box, class) of what is kept, the best first."""
    pairs = [(r, k) for r, k in np.ndindex(*scores.shape) if k > 0 and scores[r, k] > 0.6]
    if not pairs:
        return []
    rows, classes = np.array(pairs).T
    kept = nms(boxes[rows, classes], scores[rows, classes], 0.5)
    return [pairs[k] for k in kept[:count]]


def roi_level(flavour: Flavour, box: AnyArray) -> int:
    """0 for P2 to 3 for P5."""
    width, height = (box[2:] - box[:2] + 1).astype(np.float64)
    if flavour.roi_ends_inclusive:
        return min(max(math.floor(math.log2(math.sqrt(width * height) / 56 + 1e-6)), 0), 3)
    return min(max(math.floor(2 + math.log2(math.sqrt(width * height) / 224 + 1e-6)), 0), 3)


def roi(flavour: Flavour, features: AnyArray, box: AnyArray, scale: float, cells: int) -> F64Array:
    """(C, h, w) and one box in pixels -> (C, cells, cells): four samples a cell, nothing more than a cell outside of the map."""
    low, high = box[:2].astype(np.float64), box[2:].astype(np.float64)
    start = low * scale
    side = (high + 1) * scale - start if flavour.roi_ends_inclusive else np.maximum(high * scale - start, 1)
    place = (np.arange(2 * cells) + 0.5) / (2 * cells)
    x, y = (start[axis] + place * side[axis] for axis in (0, 1))
    height, width = features.shape[1:]
    across, down = _tents(x, width), _tents(y, height)
    sampled = np.einsum("yh,chw,xw->cyx", down, features.astype(np.float64), across)
    found: F64Array = sampled.reshape(len(features), cells, 2, cells, 2).mean(axis=(2, 4))
    return found


def _tents(position: F64Array, size: int) -> F64Array:
    """(samples, size): how much each cell counts at each position."""
    inside = (position >= -1) & (position <= size)
    position = np.clip(position, 0, size - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(size))) * inside[:, None]
