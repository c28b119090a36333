"""Mask AP as a function of how far a frame is from the key frame that its result rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.evaluation.coco import CodedTruth, MaskAp, MaskApMeter
from edgeseg.types import GroundTruth, Label, Result


@dataclass(frozen=True)
class DistanceAp:
    """Average precision over all frames, and over those of each distance."""

    overall: MaskAp
    """Of all frames together. Not the mean of the others: detections of all frames are ranked by score in one list."""
    at: Mapping[int, MaskAp]
    """Frames since the key frame (0 = the key frame itself) -> the score of those frames, in ascending order."""


class DistanceApMeter:
    """Collects results frame by frame, as `MaskApMeter` does, with the distance that each states (`Result.since_key`)."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._meter = MaskApMeter(labels)
        self._distances: list[int] = []

    def add(self, result: Result, truth: GroundTruth | CodedTruth) -> None:
        """Take one frame's result with what is truly there.

        Raises:
            EvaluationError: they are of different sizes.
        """
        self._meter.add(result, truth)
        self._distances.append(result.since_key)

    def compute(self) -> DistanceAp:
        """Score all that was added.

        Raises:
            EvaluationError: nothing was added.
        """
        frames: dict[int, list[int]] = {distance: [] for distance in sorted(set(self._distances))}
        for number, distance in enumerate(self._distances):
            frames[distance].append(number)
        return DistanceAp(self._meter.compute(), {distance: self._meter.compute(numbers) for distance, numbers in frames.items()})
