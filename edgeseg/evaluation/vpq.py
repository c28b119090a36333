"""Video panoptic quality: panoptic quality of tubes (D. Kim et al., Video Panoptic Segmentation, CVPR 2020).

A tube is one object in a window of frames. VPQ^k counts matches of tubes that are stacked over k / 5 + 1 labelled frames, in windows that
slide by one frame, over all windows of all clips; VPQ is the mean over k. VPQ^0 is the panoptic quality of single frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.errors import EvaluationError
from edgeseg.evaluation.overlap import Key, Overlap, joined, overlap_of
from edgeseg.evaluation.panoptic import PqScore, Tally
from edgeseg.truth import PanopticTruth
from edgeseg.types import Label, Panoptic, Segment

WINDOWS = (0, 5, 10, 15)
LABELLED_EVERY = 5
"""Frames from one labelled frame of Cityscapes-VPS to the next: what k is counted in."""
NO_TRACK = -1


@dataclass(frozen=True)
class VpqScore:
    """Video panoptic quality of all that was added."""

    at: Mapping[int, PqScore]
    """k -> scores of tubes; NaN where no clip is long enough."""

    @property
    def mean(self) -> float:
        """VPQ: the mean over k; NaN where one of them is."""
        return float(np.mean([score.overall.pq for score in self.at.values()]))

    @property
    def things(self) -> float:
        """The same over things alone."""
        return float(np.mean([score.things.pq for score in self.at.values()]))

    @property
    def stuff(self) -> float:
        """The same over stuff alone."""
        return float(np.mean([score.stuff.pq for score in self.at.values()]))


class VpqMeter:
    """Collects maps frame by frame, clip by clip. Of the frames of one window it keeps how regions overlap, not the maps.

    A found thing is known by its class and track id, stuff by its class. A thing without a track id is another one in every frame.
    """

    def __init__(self, labels: Sequence[Label], ks: Sequence[int] = WINDOWS, spacing: int = 1) -> None:
        """Prepare to count.

        Args:
            labels: of the model.
            ks: lengths of windows in frames, multiples of 5.
            spacing: added frames from one frame of a window to the next. 1 where only labelled frames are added, as of Cityscapes-VPS;
                5 where all frames are labelled and added, so that k keeps its meaning and no frame of a schedule is left out.

        Raises:
            EvaluationError: a length is no multiple of 5.
        """
        if not ks or any(k < 0 or k % LABELLED_EVERY for k in ks):
            raise EvaluationError(f"windows of VPQ have lengths 0, {LABELLED_EVERY}, {2 * LABELLED_EVERY} ..., got {list(ks)}")
        self._lengths = {k: k // LABELLED_EVERY + 1 for k in ks}
        self._tallies = {k: Tally(labels) for k in ks}
        self._spacing = spacing
        self._recent: deque[Overlap] = deque(maxlen=(max(self._lengths.values()) - 1) * spacing + 1)
        self._clip: str | None = None
        self._frames = 0

    def begin(self, clip: str) -> None:
        """Further frames belong to another clip."""
        self._clip = clip
        self._recent.clear()

    def add(self, found: Panoptic | None, truth: PanopticTruth) -> None:
        """Take the next frame of the clip; ``None`` = nothing was found.

        Raises:
            EvaluationError: no clip was begun, the maps differ in size, an id has no segment, or a class is none of the labels.
        """
        if self._clip is None:
            raise EvaluationError("a frame belongs to a clip: begin one first")
        self._frames += 1
        self._recent.append(overlap_of(found, truth, self._key_of))
        spaced = list(self._recent)[:: -self._spacing]
        for k, length in self._lengths.items():
            if len(spaced) >= length:
                self._tallies[k].add(joined(reversed(spaced[:length])))

    def _key_of(self, segment: Segment) -> Key:
        if not segment.is_thing:
            return (segment.class_id,)
        if segment.track_id is None:
            return segment.class_id, NO_TRACK, self._frames, segment.id
        return segment.class_id, segment.track_id

    def compute(self) -> VpqScore:
        """Score all that was added.

        Raises:
            EvaluationError: nothing was added.
        """
        if not self._frames:
            raise EvaluationError("there is nothing to score: no frame was added")
        return VpqScore({k: tally.score() for k, tally in self._tallies.items()})
