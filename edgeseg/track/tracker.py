"""Gives instances ids that stay with objects, and smooths their masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeseg.masks import SoftMasks
from edgeseg.motion import Motion
from edgeseg.track import affinity
from edgeseg.track.appearance import BINS, colour_bins, look
from edgeseg.track.assignment import assign, load_solver
from edgeseg.track.grid import View
from edgeseg.track.memory import Expected, Track, draw, expect
from edgeseg.track.settings import TrackerSettings
from edgeseg.track.smoothing import smoothed
from edgeseg.types import F32Array, Frame, Instances

MEMORY_MAX = 200
"""Tracks kept; past it those that were out of sight longest are forgotten."""
_REACH = 1.0
"""How far from where it was expected a track may come back, in extents of its box, when it was just lost."""
_REACH_GROWTH = 0.05
"""What every further frame adds to it."""
_MIN_SIZE_RATIO = 0.5


class Tracker:
    """Ids for the instances of one stream. Call `update` or `follow` once for every frame, in order.

    An id belongs to one object and one class; no two instances of a frame share one, and none is given twice, also
    not after `reset`. An instance that belongs to no track and scores below ``settings.start_score`` keeps the id -1.

    Association goes in three passes over costs of mask overlap along the flow, colours and place: strong instances,
    weak ones (after ByteTrack, arXiv 2110.06864), then tracks out of sight, by colours and expected place.

    Args:
        settings: when tracks begin, go on and end.
        smooth: also smooth masks and scores in time, and show tracks for a few frames where the graph misses them.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """

    def __init__(self, settings: TrackerSettings | None = None, *, smooth: bool = False) -> None:
        self.settings = settings or TrackerSettings()
        self.smooth = smooth
        self._solver = load_solver()
        self._next_id = 0
        self._tracks: list[Track] = []

    def reset(self) -> None:
        """Forget all tracks: the picture has another size now, or another scene. Ids go on from where they were."""
        self._tracks = []

    def update(self, frame: Frame, found: Instances, motion: Motion | None) -> Instances:
        """Take what a graph found in a frame.

        Args:
            frame: the frame.
            found: what was found in it; ids it may carry are ignored.
            motion: how the picture moved since the last frame; None if that is not known.

        Returns:
            The same instances in the same order with ids. With ``smooth``, masks and scores are averaged along the
            flow, instances that the graph missed are added, and all are sorted by score again.
        """
        view = View.of(frame.image_hw, motion)
        bins = colour_bins(frame.pixels, view.hw)
        drawn = view.draw(found.masks, found.boxes)
        looks = np.array([look(bins, cells) for cells in drawn], np.float32).reshape(len(found), BINS)
        expected = [expect(track, view) for track in self._tracks]
        pairs = self._pair(found, drawn, looks, expected, draw(expected, view))
        ids = np.full(len(found), -1, np.int64)
        result = found
        if self.smooth:
            result = self._smooth(found, pairs, view)
        for t, n in pairs.items():
            track = self._tracks[t]
            ids[n] = track.track_id
            track.see(found.boxes[n], result.masks.select(np.array([n])))
            track.confirm(float(found.scores[n]), looks[n])
        for t, track in enumerate(self._tracks):
            if t not in pairs:
                self._miss(track, expected[t], view)
        for n in np.flatnonzero((ids < 0) & (found.scores >= self.settings.start_score)).tolist():
            ids[n] = self._begin(found, n, looks[n])
        self._forget()
        return replace(result, track_ids=ids)

    def follow(self, frame: Frame, found: Instances, motion: Motion | None) -> Instances:  # noqa: ARG002
        """Take the instances of a frame that no graph ran on: rows that were propagated and carry their ids.

        Args:
            frame: the frame.
            found: what was propagated to it; returned as it is.
            motion: as for `update`.
        """
        rows = {int(track_id): n for n, track_id in enumerate(found.track_ids) if track_id >= 0}
        for track in self._tracks:
            track.unseen += 1
            n = rows.get(track.track_id)
            if n is None:
                track.lose()
                track.drift()
            else:
                track.see(found.boxes[n], found.masks.select(np.array([n])))
        self._forget()
        return found

    def _pair(
        self, found: Instances, drawn: F32Array, looks: F32Array, expected: list[Expected], expected_drawn: F32Array
    ) -> dict[int, int]:
        """Which track (its place in the list) goes on in which row."""
        if not self._tracks or not len(found):
            return {}
        boxes = np.array([one.box for one in expected], np.float32)
        same = np.array([track.class_id for track in self._tracks])[:, None] == found.classes[None]
        likeness = np.array([track.look for track in self._tracks]) @ looks.T
        apart = affinity.distance(boxes, found.boxes)
        overlap = affinity.mask_iou(expected_drawn, drawn)
        near_costs = 1 - overlap + 0.5 * (1 - likeness) + 0.2 * apart
        near = same & (overlap >= self.settings.min_overlap)
        unseen = np.array([track.unseen for track in self._tracks])
        reach = _REACH + _REACH_GROWTH * unseen
        back = same & (likeness >= self.settings.min_likeness) & (apart <= reach[:, None])
        back &= affinity.size_ratio(boxes, found.boxes) >= _MIN_SIZE_RATIO
        back_costs = 1 - likeness + 0.2 * apart
        strong = found.scores >= self.settings.strong_score
        pairs: dict[int, int] = {}
        for costs, allowed in ((near_costs, near & strong), (near_costs, near), (back_costs, back & strong)):
            free = allowed.copy()
            free[list(pairs)] = False
            free[:, list(pairs.values())] = False
            pairs.update(assign(np.where(free, costs, np.inf).astype(np.float32), self._solver))
        return pairs

    def _smooth(self, found: Instances, pairs: dict[int, int], view: View) -> Instances:
        if not isinstance(found.masks, SoftMasks):
            return found
        masks = list(found.masks.masks)
        for t, n in pairs.items():
            old = self._tracks[t].mask
            if old is not None and view.has_flow:
                masks[n] = smoothed(masks[n], old, view)
        return replace(found, masks=SoftMasks(tuple(masks), found.image_hw))

    def _miss(self, track: Track, expected: Expected, view: View) -> None:
        track.unseen += 1
        if expected.values is not None and track.unseen <= self.settings.coast_frames:
            track.see(expected.box, expected.mask(view))
        else:
            track.lose()
            track.drift()

    def _begin(self, found: Instances, n: int, colours: F32Array) -> int:
        track_id = self._next_id
        self._next_id += 1
        self._tracks.append(
            Track(
                track_id,
                int(found.classes[n]),
                float(found.scores[n]),
                found.boxes[n],
                found.masks.select(np.array([n])),
                colours,
                np.zeros(2, np.float32),
            )
        )
        return track_id

    def _forget(self) -> None:
        self._tracks = [track for track in self._tracks if track.unseen <= self.settings.max_age_frames]
        if len(self._tracks) > MEMORY_MAX:
            self._tracks = sorted(self._tracks, key=lambda track: track.unseen)[:MEMORY_MAX]
