"""What is truly in a picture, as a panoptic map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgeseg.types import I32Array


class TruthSegment(NamedTuple):
    """One region of a true panoptic map."""

    class_id: int
    is_crowd: bool = False
    """Several things that nobody told apart: neither wanted nor punished."""


@dataclass(frozen=True, repr=False)
class PanopticTruth:
    """A true map that gives every pixel to one segment, or to nobody."""

    ids: I32Array
    """int32 (H, W), 0 or more; 0 is void: pixels that count for nothing. In a clip the same number is the same object."""
    segments: Mapping[int, TruthSegment]
    """Id in the map, > 0 -> the segment. Pixels of an id that is not here belong to nobody, but are not void."""

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.dtype != np.int32:
            raise ValueError(f"ids must be int32 (H, W), got {self.ids.dtype} {self.ids.shape}")
        if any(number <= 0 for number in self.segments):
            raise ValueError("ids of segments must be above 0, which is void")

    def in_classes(self, places: Mapping[int, int]) -> PanopticTruth:
        """The same under other class numbers: ``places[class_id]`` for each; segments of a class that has none become void."""
        foreign = [number for number, segment in self.segments.items() if segment.class_id not in places]
        ids = np.where(np.isin(self.ids, foreign), np.int32(0), self.ids) if foreign else self.ids
        known = {number: segment for number, segment in self.segments.items() if segment.class_id in places}
        return PanopticTruth(ids, {number: segment._replace(class_id=places[segment.class_id]) for number, segment in known.items()})

    def __repr__(self) -> str:
        return f"PanopticTruth(size={self.ids.shape}, segments={len(self.segments)})"
