"""Gives instances ids that stay with objects, and makes their masks steady."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeseg.motion import Motion
from edgeseg.track.assignment import load_solver
from edgeseg.track.comparison import Comparison
from edgeseg.track.matching import mask_iou, match
from edgeseg.track.memory import Track
from edgeseg.track.settings import TrackerSettings
from edgeseg.track.smoothing import averaged, carried, with_coasting
from edgeseg.track.steps import aligned, shifts
from edgeseg.types import F32Array, Frame, I64Array, Instances

MEMORY_MAX = 200
"""Tracks kept; past it those that were out of sight longest are forgotten."""


class Tracker:
    """Ids for the instances of one stream. Call `update` or `follow` once for every frame, in order.

    An id belongs to one object and one class; no two instances of a frame share one, and none is given twice, also
    not after `reset`. An instance has the id -1 as long as it belongs to no track and does not begin one: because it
    scores below ``settings.start_score``, or because it lies on an object that has an id already.

    Args:
        settings: when tracks begin, go on and end.
        smooth: also make results steady: average masks and scores in time, and show tracks for a few frames where the
            graph misses them. Needs masks of the kind `SoftMasks`; others stay as they are.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """

    def __init__(self, settings: TrackerSettings | None = None, *, smooth: bool = False) -> None:
        self.settings = settings or TrackerSettings()
        self.smooth = smooth
        self._solver = load_solver()
        self._next_id = 0
        self._tracks: list[Track] = []
        self._shown: Instances | None = None

    def reset(self) -> None:
        """Forget all tracks: the picture has another size now. Ids go on from where they were."""
        self._tracks = []
        self._shown = None

    def update(self, frame: Frame, found: Instances, motion: Motion | None) -> Instances:
        """Take what a graph found in a frame.

        Args:
            frame: the frame.
            found: what was found in it; ids it may carry are ignored.
            motion: how the picture moved since the last frame; None if that is not known.

        Returns:
            The same instances in the same order with ids. With ``smooth``, masks and scores are averaged along the
            flow, tracks that the graph missed are added, and all are sorted by score again.
        """
        compared = Comparison.of(frame, found, self._tracks, self._steps(motion))
        pairs = self._match(compared, found)
        result = averaged(found, self._tracks, pairs, compared) if self.smooth and motion is not None else found
        ids = np.full(len(found), -1, np.int64)
        for t, n in pairs.items():
            ids[n] = self._tracks[t].track_id
            self._tracks[t].confirm(result, n, compared.found.looks[n])
        held = [t for t in range(len(self._tracks)) if t not in pairs and self._hold(t, compared)]
        coasting = [self._tracks[t] for t in held]
        self._begin(result, ids, held, compared)
        self._forget()
        result = replace(result, track_ids=ids)
        if self.smooth:
            self._shown = result = with_coasting(result, coasting, self.settings.strong_score)
        return result

    def follow(self, frame: Frame, found: Instances, motion: Motion | None) -> Instances:  # noqa: ARG002
        """Take the instances of a frame that no graph ran on: rows that were propagated and carry their ids.

        Only the rows are looked at; the call is the same as that of `update`.

        Args:
            frame: as for `update`.
            found: what was propagated to the frame; returned as it is.
            motion: as for `update`.
        """
        rows = {int(track_id): n for n, track_id in enumerate(found.track_ids) if track_id >= 0}
        for track in self._tracks:
            track.unseen += 1
            n = rows.get(track.track_id)
            if n is None:
                track.hide()
            else:
                track.see(found.boxes[n], found.masks.select(np.array([n])))
        self._forget()
        if self.smooth:
            self._shown = found
        return found

    def _steps(self, motion: Motion | None) -> list[F32Array]:
        """How each track has moved. After a cut all are out of sight: nothing is where it was."""
        if motion is not None and motion.cut:
            for track in self._tracks:
                track.mask = None
            motion = None
        steps = shifts(self._tracks, motion)
        if motion is None or self._shown is None:
            return steps
        better = aligned(self._shown, motion)
        return [better.get(track.track_id, step) for track, step in zip(self._tracks, steps, strict=True)]

    def _match(self, compared: Comparison, found: Instances) -> dict[int, int]:
        unseen = np.array([track.unseen for track in self._tracks], np.int64)
        strong = found.scores >= self.settings.strong_score
        return match(compared.fit, unseen, strong, self.settings, self._solver)

    def _hold(self, t: int, compared: Comparison) -> bool:
        """Move a track that was not found on; whether it keeps its place where the flow took it."""
        track, expected = self._tracks[t], compared.expected[t]
        track.unseen += 1
        if track.mask is None or track.unseen > self.settings.coast_frames or not compared.in_sight(t, self.settings):
            track.hide()
            return False
        track.box, track.mask = expected.box, carried(track.mask, expected.step, expected.box, compared.grid.image_hw)
        return True

    def _begin(self, found: Instances, ids: I64Array, held: list[int], compared: Comparison) -> None:
        """Begin tracks with the instances that are strong enough and do not lie on an object that has an id; fills in ``ids``."""
        drawn = compared.found.drawn
        taken = np.concatenate([drawn[ids >= 0], compared.tracks.drawn[held]])
        for n in np.flatnonzero((ids < 0) & (found.scores >= self.settings.start_score)).tolist():
            if len(taken) and mask_iou(taken, drawn[n : n + 1]).max() >= self.settings.same_place:
                continue
            ids[n], self._next_id = self._next_id, self._next_id + 1
            self._tracks.append(Track.begin(int(ids[n]), found, n, compared.found.looks[n]))
            taken = np.concatenate([taken, drawn[n : n + 1]])

    def _forget(self) -> None:
        """Drop what was out of sight for too long."""
        self._tracks = [track for track in self._tracks if track.unseen <= self.settings.max_age_frames]
        if len(self._tracks) > MEMORY_MAX:
            self._tracks = sorted(self._tracks, key=lambda track: track.unseen)[:MEMORY_MAX]
