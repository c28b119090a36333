"""Panoptic quality, as A. Kirillov et al. define it (Panoptic Segmentation, CVPR 2019), with the void and crowd rules of COCO's evaluation.

A found and a true region of one class match where their IoU is above 0.5; void pixels of the found region are left out of the union.
Crowds never match and are never missed. A found region without a match is not punished where more than half of it lies on void or on a
crowd of its class; of several crowds of one class in a picture the one named last counts, as in COCO's evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.errors import EvaluationError
from edgeseg.evaluation.overlap import VOID, Key, Overlap, overlap_of
from edgeseg.truth import PanopticTruth
from edgeseg.types import Label, Panoptic, Segment

MATCH_IOU = 0.5
IGNORED_PART = 0.5


@dataclass
class ClassCounts:
    """What was counted of one class."""

    iou: float = 0.0
    """Sum over matches."""
    matched: int = 0
    extra: int = 0
    missed: int = 0

    @property
    def seen(self) -> bool:
        """Whether there was anything to find or anything found."""
        return self.matched + self.extra + self.missed > 0

    @property
    def quality(self) -> Quality:
        """PQ, SQ and RQ of this class; NaN where nothing was seen."""
        if not self.seen:
            return Quality(float("nan"), float("nan"), float("nan"), 0)
        whole = self.matched + self.extra / 2 + self.missed / 2
        return Quality(self.iou / whole, self.iou / self.matched if self.matched else 0.0, self.matched / whole, 1)


@dataclass(frozen=True)
class Quality:
    """Scores in 0..1, means over classes that were seen; NaN where there were none."""

    pq: float
    """Panoptic quality: sum of IoU over (matches + half of all that is extra or missed)."""
    sq: float
    """Segmentation quality: mean IoU of matches."""
    rq: float
    """Recognition quality, the F1 score of regions."""
    classes: int
    """What the means are over."""


@dataclass(frozen=True)
class PqScore:
    """Panoptic quality of all that was added."""

    overall: Quality
    things: Quality
    stuff: Quality
    per_class: dict[str, Quality]
    """Label name -> scores."""
    counts: dict[str, ClassCounts]
    """Label name -> what they rest on."""


class Tally:
    """Counts matches class by class."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = tuple(labels)
        self._counts = [ClassCounts() for _ in labels]

    def add(self, overlap: Overlap) -> None:
        """Count the regions of one frame, or the tubes of one window.

        Raises:
            EvaluationError: a class is none of the labels.
        """
        self._check_classes(overlap)
        found_areas: Counter[Key] = Counter()
        true_areas: Counter[int] = Counter()
        for (true_id, key), area in overlap.areas.items():
            true_areas[true_id] += area
            found_areas[key] += area
        ious = dict(_matches(overlap, true_areas, found_areas))
        for (true_id, _), iou in ious.items():
            counts = self._counts[overlap.truth[true_id].class_id]
            counts.iou += iou
            counts.matched += 1
        self._add_missed(overlap, {true_id for true_id, _ in ious})
        self._add_extra(overlap, found_areas, {key for _, key in ious})

    def _check_classes(self, overlap: Overlap) -> None:
        wrong = {*overlap.found.values(), *(segment.class_id for segment in overlap.truth.values())} - set(range(len(self._labels)))
        if wrong:
            raise EvaluationError(f"a segment is of class {min(wrong)}, but there are only {len(self._labels)} labels, counted from 0")

    def _add_missed(self, overlap: Overlap, matched: set[int]) -> None:
        for true_id, segment in overlap.truth.items():
            self._counts[segment.class_id].missed += not segment.is_crowd and true_id not in matched

    def _add_extra(self, overlap: Overlap, found_areas: Counter[Key], matched: set[Key]) -> None:
        crowds = {segment.class_id: true_id for true_id, segment in overlap.truth.items() if segment.is_crowd}
        for key, class_id in overlap.found.items():
            if key in matched:
                continue
            ignored = overlap.areas.get((VOID, key), 0)
            if class_id in crowds:
                ignored += overlap.areas.get((crowds[class_id], key), 0)
            self._counts[class_id].extra += ignored / found_areas[key] <= IGNORED_PART

    def score(self) -> PqScore:
        """Per class and as means."""
        each = list(zip(self._labels, self._counts, strict=True))
        return PqScore(
            overall=_mean(self._counts),
            things=_mean(counts for label, counts in each if label.is_thing),
            stuff=_mean(counts for label, counts in each if not label.is_thing),
            per_class={label.name: counts.quality for label, counts in each},
            counts={label.name: counts for label, counts in each},
        )


def _matches(overlap: Overlap, true_areas: Counter[int], found_areas: Counter[Key]) -> Iterable[tuple[tuple[int, Key], float]]:
    """((true id, key), IoU) of the regions that match; no region matches twice, because more than half of both is shared."""
    for (true_id, key), area in overlap.areas.items():
        segment = overlap.truth.get(true_id)
        if segment is None or segment.is_crowd or overlap.found.get(key) != segment.class_id:
            continue
        union = true_areas[true_id] + found_areas[key] - area - overlap.areas.get((VOID, key), 0)
        if area / union > MATCH_IOU:
            yield (true_id, key), area / union


def _mean(counts: Iterable[ClassCounts]) -> Quality:
    seen = [one.quality for one in counts if one.seen]
    if not seen:
        return ClassCounts().quality
    pq, sq, rq = np.mean([(one.pq, one.sq, one.rq) for one in seen], axis=0).tolist()
    return Quality(pq, sq, rq, len(seen))


class PqMeter:
    """Collects maps frame by frame; it keeps counts only."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._tally = Tally(labels)
        self._frames = 0

    def add(self, found: Panoptic | None, truth: PanopticTruth) -> None:
        """Take one frame; ``None`` = nothing was found.

        Raises:
            EvaluationError: the maps differ in size, an id has no segment, or a class is none of the labels.
        """
        self._tally.add(overlap_of(found, truth, _by_id))
        self._frames += 1

    def compute(self) -> PqScore:
        """Score all that was added.

        Raises:
            EvaluationError: nothing was added.
        """
        if not self._frames:
            raise EvaluationError("there is nothing to score: no frame was added")
        return self._tally.score()


def _by_id(segment: Segment) -> Key:
    return (segment.id,)
