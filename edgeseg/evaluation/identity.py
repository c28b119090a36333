"""How well ids follow objects: HOTA, IDF1 and id switches, computed by TrackEval.

HOTA (Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021) is the mean over mask IoU
thresholds of 0.05 to 0.95 of the geometric mean of detection and association accuracy. IDF1 (Ristani et al. 2016) and the id
switches of CLEAR MOT (Bernardin and Stiefelhagen 2008) count matches from an IoU of 0.5.

Classes are scored apart, as for YouTube-VIS and MOTS: a result counts for an object of its own class only. Then all detections
count alike, whatever their class and clip (TrackEval's detection average). A class average would let a class with two objects
weigh as much as one with fifty, and a clip with one object as much as one with ten.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeseg.errors import EvaluationError, MissingDependencyError
from edgeseg.evaluation.coco import CodedTruth, check_sizes, coded, overlaps
from edgeseg.types import F64Array, GroundTruth, I64Array, Label, Result

IGNORED_PART = 0.5


def _library() -> Any:
    try:
        return importlib.import_module("trackeval.metrics")
    except ImportError as error:
        raise MissingDependencyError.for_extra("trackeval", "eval", error) from error


@dataclass(frozen=True)
class Identity:
    """Scores in 0..1; NaN where there was nothing to follow."""

    hota: float
    det_a: float
    """Detection accuracy, the part of HOTA that does not look at ids."""
    ass_a: float
    """Association accuracy, the part that does."""
    idf1: float
    switches: int
    """How often an object's id was another than before."""
    objects: int
    """True objects, each once per clip."""
    instances: int
    """True instances in all frames, ignored ones left out."""


@dataclass(frozen=True)
class _Sequence:
    """One class in one clip: the frames in which it truly is or was found."""

    true_ids: list[I64Array] = field(default_factory=list)
    found_ids: list[I64Array] = field(default_factory=list)
    similarity: list[F64Array] = field(default_factory=list)
    """Each float64 (true, found): mask IoU."""

    def data(self) -> dict[str, Any]:
        """What TrackEval's metrics take: ids without gaps from 0, counts and similarities."""
        true_ids, found_ids = _without_gaps(self.true_ids), _without_gaps(self.found_ids)
        return {
            "num_timesteps": len(self.similarity),
            "num_gt_ids": _count(true_ids),
            "num_tracker_ids": _count(found_ids),
            "num_gt_dets": sum(map(len, true_ids)),
            "num_tracker_dets": sum(map(len, found_ids)),
            "gt_ids": true_ids,
            "tracker_ids": found_ids,
            "similarity_scores": self.similarity,
        }


class IdentityMeter:
    """Collects results frame by frame and scores them at the end. Of a frame it keeps ids and a small table of mask IoU.

    A result without an id (-1) counts as an object seen in this frame only. Ignored true instances are left out, and so is a
    result of the same class of which more than half lies on one (the rule of MOTS for ignored regions).
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        _library()
        self._classes = range(len(labels))
        self._sequences: dict[tuple[str, int], _Sequence] = defaultdict(_Sequence)
        self._nameless = 0
        self._frames = 0

    def add(self, clip: str, result: Result, truth: GroundTruth | CodedTruth) -> None:
        """Take one frame; the frames of a clip come in order.

        Raises:
            EvaluationError: the sizes differ, the truth has no ids, or an id occurs twice in the frame.
        """
        code, found = coded(truth), result.instances
        there = code.truth
        check_sizes(result, there)
        if there.ids is None:
            raise EvaluationError("this ground truth does not say which object is which from frame to frame (ids)")
        _require_unique(there.ids[~there.ignored], "true", result)
        if found is None:
            classes, ids, overlap = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, len(code.codes)))
        else:
            classes, ids, overlap = found.classes, self._named(found.track_ids), overlaps(found, code)
        _require_unique(ids, "result", result)
        self._frames += 1
        same = classes[:, None] == there.classes
        judged = ~(same & there.ignored & (overlap > IGNORED_PART)).any(axis=1)
        for label in self._classes:
            true_rows, found_rows = (there.classes == label) & ~there.ignored, (classes == label) & judged
            if true_rows.any() or found_rows.any():
                self._note(clip, label, there.ids[true_rows], ids[found_rows], overlap[np.ix_(found_rows, true_rows)].T)

    def _note(self, clip: str, label: int, true_ids: I64Array, found_ids: I64Array, similarity: F64Array) -> None:
        sequence = self._sequences[clip, label]
        sequence.true_ids.append(true_ids)
        sequence.found_ids.append(found_ids)
        sequence.similarity.append(similarity)

    def _named(self, track_ids: I64Array) -> I64Array:
        """The ids, with a negative one of its own for each result that has none."""
        without = np.flatnonzero(track_ids < 0)
        named = track_ids.copy()
        named[without] = -1 - self._nameless - np.arange(len(without))
        self._nameless += len(without)
        return named

    def compute(self) -> Identity:
        """Score all that was added.

        Raises:
            EvaluationError: nothing was added.
        """
        if not self._frames:
            raise EvaluationError("there is nothing to score: no frame was added")
        every = {key: sequence.data() for key, sequence in self._sequences.items()}
        instances = sum(data["num_gt_dets"] for data in every.values())
        if not instances:
            nothing = float("nan")
            return Identity(nothing, nothing, nothing, nothing, switches=0, objects=0, instances=0)
        hota, identity, clear = (_combined(name, every) for name in ("HOTA", "Identity", "CLEAR"))
        return Identity(
            hota=float(np.mean(hota["HOTA"])),
            det_a=float(np.mean(hota["DetA"])),
            ass_a=float(np.mean(hota["AssA"])),
            idf1=float(identity["IDF1"]),
            switches=int(clear["IDSW"]),
            objects=sum(data["num_gt_ids"] for data in every.values()),
            instances=instances,
        )


def _combined(name: str, every: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    """One of TrackEval's metrics over all classes and clips."""
    kind = getattr(_library(), name)
    metric = kind() if name == "HOTA" else kind({"PRINT_CONFIG": False})
    scores = {key: metric.eval_sequence(data) for key, data in every.items()}
    combined: dict[str, Any] = metric.combine_sequences(scores)
    return combined


def _without_gaps(ids: list[I64Array]) -> list[I64Array]:
    """The same ids numbered from 0."""
    _, numbers = np.unique(np.concatenate(ids), return_inverse=True)
    return np.split(numbers, np.cumsum([len(part) for part in ids])[:-1])


def _count(ids: list[I64Array]) -> int:
    return max((int(part.max()) + 1 for part in ids if len(part)), default=0)


def _require_unique(ids: I64Array, whose: str, result: Result) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        double = values[counts > 1][0]
        raise EvaluationError(f"frame {result.frame_index}: several {whose} instances have the id {double}; ids must be unique")
