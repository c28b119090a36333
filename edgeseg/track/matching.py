"""Which track goes on in which instance. T tracks, N instances, P cells of the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.track.assignment import Solver, assign
from edgeseg.track.settings import TrackerSettings
from edgeseg.types import BoolArray, F32Array, I64Array

_LIKENESS_WEIGHT = np.float32(0.5)
_DISTANCE_WEIGHT = np.float32(0.2)
_REACH = 1.0
"""How far from where it is expected a track may come back, in extents of its box, when it was just lost."""
_REACH_GROWTH = 0.1
"""What every further frame adds to it."""
_MIN_SIZE_RATIO = 0.5
"""An object that comes back has not become smaller, or larger, than this."""


@dataclass(frozen=True, repr=False)
class Side:
    """One side of a matching: the tracks as they are expected now, or the instances that were found. Rows are K."""

    classes: I64Array
    """int64 (K,)."""
    boxes: F32Array
    """float32 (K, 4)."""
    extents: F32Array
    """float32 (K,): how large they are, pixels; tracks as they were when more of them was seen."""
    drawn: F32Array
    """float32 (K, P): masks of 0 and 1."""
    looks: F32Array
    """float32 (K, BINS)."""


@dataclass(frozen=True, repr=False)
class Fit:
    """How tracks and instances fit, for all pairs: float32 (T, N) each."""

    same_class: BoolArray
    overlap: F32Array
    """Mask IoU."""
    likeness: F32Array
    """Bhattacharyya coefficient of their colours, 0..1."""
    apart: F32Array
    """Between the middles of their boxes, over the larger extent."""
    size_ratio: F32Array
    """Smaller over larger extent."""

    @classmethod
    def of(cls, tracks: Side, found: Side) -> Fit:
        """All pairs of the two sides."""
        return cls(
            tracks.classes[:, None] == found.classes[None],
            mask_iou(tracks.drawn, found.drawn),
            tracks.looks @ found.looks.T,
            distance(tracks, found),
            size_ratio(tracks, found),
        )


def match(fit: Fit, unseen: I64Array, strong: BoolArray, settings: TrackerSettings, solver: Solver) -> dict[int, int]:
    """Track row -> instance row, in three passes: strong instances, then weak ones, then tracks that come back.

    In the first two (those of ByteTrack) a track and an instance must overlap; in the third they must look alike, be of
    about one size and near each other. The class must be the same in all.

    Args:
        fit: how they fit.
        unseen: int64 (T,): frames since each track was found.
        strong: bool (N,): instances that choose first; only they bring tracks back.
        settings: limits.
        solver: of the assignment problem.
    """
    near = fit.same_class & (fit.overlap >= settings.min_overlap)
    near_costs = 1 - fit.overlap + _LIKENESS_WEIGHT * (1 - fit.likeness) + _DISTANCE_WEIGHT * fit.apart
    back = fit.same_class & (fit.likeness >= settings.min_likeness) & (fit.size_ratio >= _MIN_SIZE_RATIO)
    back &= fit.apart <= (_REACH + _REACH_GROWTH * unseen)[:, None]
    back_costs = 1 - fit.likeness + _DISTANCE_WEIGHT * fit.apart
    pairs: dict[int, int] = {}
    for costs, allowed in ((near_costs, near & strong), (near_costs, near), (back_costs, back & strong)):
        allowed[list(pairs)] = False
        allowed[:, list(pairs.values())] = False
        pairs.update(assign(np.where(allowed, costs, np.float32(np.inf)), solver))
    return pairs


def mask_iou(a: F32Array, b: F32Array) -> F32Array:
    """IoU float32 (A, B) of masks (A, P) and (B, P) of 0 and 1; 0 where both are empty."""
    overlap = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - overlap
    iou: F32Array = (overlap / np.maximum(union, 1)).astype(np.float32)
    return iou


def distance(a: Side, b: Side) -> F32Array:
    """How far the middles of boxes are apart, over the larger of their extents: float32 (A, B)."""
    middles_a, middles_b = ((side.boxes[:, :2] + side.boxes[:, 2:]) / 2 for side in (a, b))
    apart = np.linalg.norm(middles_a[:, None] - middles_b[None], axis=2)
    far: F32Array = (apart / np.maximum(a.extents[:, None], b.extents[None])).astype(np.float32)
    return far


def size_ratio(a: Side, b: Side) -> F32Array:
    """Smaller over larger extent: float32 (A, B) in 0..1."""
    first, second = a.extents[:, None], b.extents[None]
    ratio: F32Array = (np.minimum(first, second) / np.maximum(first, second)).astype(np.float32)
    return ratio


def extents_of(boxes: F32Array) -> F32Array:
    """float32 (N,): square roots of the areas of boxes (N, 4) in pixels, at least 1."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    extents: F32Array = np.sqrt(sides[:, 0] * sides[:, 1]).astype(np.float32)
    return extents
