"""How the regions of a found and a true panoptic map overlap, in one frame or in a tube of frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edgeseg.errors import EvaluationError
from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import I32Array, Panoptic, Segment

VOID = 0
"""The id of nobody's pixels in a true map."""
Key: TypeAlias = tuple[int, ...]
"""What tells found regions apart; regions of several frames with one key are one tube."""
NOBODY: Key = ()
"""The key of the pixels that a found map gives to no segment."""


@dataclass(frozen=True, repr=False)
class Overlap:
    """Pixels that found and true regions share. Its size is that of the number of regions, not of the maps."""

    truth: Mapping[int, TruthSegment]
    """In the order in which they were first named."""
    found: Mapping[Key, int]
    """Key of each found region that has pixels -> its class."""
    areas: Mapping[tuple[int, Key], int]
    """(true id or `VOID`, key or `NOBODY`) -> pixels; only pairs that share some."""


def overlap_of(found: Panoptic | None, truth: PanopticTruth, key_of: Callable[[Segment], Key]) -> Overlap:
    """The overlaps in one frame.

    Args:
        found: None = nothing was found.
        truth: what is there.
        key_of: names a found segment.

    Raises:
        EvaluationError: the maps differ in size, or the found map holds an id that none of its segments has.
    """
    ids = np.zeros_like(truth.ids) if found is None else found.ids
    if ids.shape != truth.ids.shape:
        raise EvaluationError(f"the result has {ids.shape} pixels, the ground truth {truth.ids.shape}; they do not belong together")
    segments = {} if found is None else {segment.id: segment for segment in found.segments}
    classes: dict[Key, int] = {}
    areas: Counter[tuple[int, Key]] = Counter()
    for true_id, found_id, area in _shared(truth.ids, ids):
        key = NOBODY
        if found_id:
            segment = segments.get(found_id)
            if segment is None:
                raise EvaluationError(f"the found map holds the id {found_id}, which none of its segments has")
            key = key_of(segment)
            classes[key] = segment.class_id
        areas[true_id, key] += area
    return Overlap(truth.segments, classes, areas)


def joined(frames: Iterable[Overlap]) -> Overlap:
    """The overlaps of tubes: areas add up; what a true tube is, its first frame says."""
    truth: dict[int, TruthSegment] = {}
    classes: dict[Key, int] = {}
    areas: Counter[tuple[int, Key]] = Counter()
    for frame in frames:
        for key, segment in frame.truth.items():
            truth.setdefault(key, segment)
        classes.update(frame.found)
        areas.update(frame.areas)
    return Overlap(truth, classes, areas)


def _shared(truth: I32Array, found: I32Array) -> list[tuple[int, int, int]]:
    """(true id, found id, pixels) of every pair that shares some."""
    codes = (truth.astype(np.int64) << 32 | found.view(np.uint32)).reshape(-1)
    if not codes.size:
        return []
    # Maps are made of long runs: only these are sorted, not all pixels.
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    runs = np.diff(starts, append=codes.size)
    pairs, place = np.unique(codes[starts], return_inverse=True)
    areas = np.bincount(place, weights=runs).astype(np.int64)
    return list(zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), areas.tolist(), strict=True))
