"""A frame's instances beside the tracks that are expected in it, drawn on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.track.appearance import BINS, MIN_CELLS, colour_bins, look
from edgeseg.track.grid import Grid, grid_of
from edgeseg.track.matching import Fit, Side
from edgeseg.track.memory import Expected, Track, draw, expect
from edgeseg.types import F32Array, Frame, I64Array, Instances

_SLIP_GAIN = np.float32(0.3)
_SLIP_MAX_CELLS = 1.5
_SLIP_MAX_GROWTH = 1.2


@dataclass(frozen=True, repr=False)
class Comparison:
    """One frame, what was found in it and what was expected. T tracks, N instances, P cells."""

    grid: Grid
    bins: I64Array
    """int64 (P,): colours of the frame."""
    expected: list[Expected]
    tracks: Side
    found: Side
    fit: Fit

    @classmethod
    def of(cls, frame: Frame, found: Instances, tracks: Sequence[Track], steps: Sequence[F32Array]) -> Comparison:
        """Draw and compare; ``steps`` are those of the tracks."""
        grid = grid_of(frame.image_hw)
        bins = colour_bins(frame.pixels, grid.hw)
        drawn = grid.draw(found.masks, found.boxes)
        looks = np.array([look(bins, cells) for cells in drawn], np.float32).reshape(len(found), BINS)
        there = Side(found.classes, found.boxes, drawn, looks)
        expected = [expect(track, step, grid) for track, step in zip(tracks, steps, strict=True)]
        here = Side(
            np.array([track.class_id for track in tracks], np.int64),
            np.array([one.box for one in expected], np.float32).reshape(len(tracks), 4),
            draw(expected, grid),
            np.array([track.look for track in tracks], np.float32).reshape(len(tracks), BINS),
        )
        return cls(grid, bins, expected, here, there, Fit.of(here, there))

    def in_sight(self, t: int, min_likeness: float) -> bool:
        """Whether track ``t`` still seems to be where the flow took it: not mostly covered by what was found, its colours there."""
        cells = self.tracks.drawn[t]
        count = float(cells.sum())
        if count < MIN_CELLS:
            return False
        covered = float((self.found.drawn.max(axis=0, initial=0) * cells).sum())
        return covered <= count / 2 and float(look(self.bins, cells) @ self.tracks.looks[t]) >= min_likeness

    def slip(self, t: int, n: int) -> F32Array:
        """What to move track ``t``'s mask by on top of the flow: float32 (2,), x and y in pixels.

        Flow tends to fall short of the motion, always to the same side, so what rests on it lags. A part of the way
        between the middles of the moved mask and the new one is enough to cancel that. Not where the shape changes.
        """
        before, now = self.tracks.drawn[t], self.found.drawn[n]
        count_before, count_now = float(before.sum()), float(now.sum())
        none = np.zeros(2, np.float32)
        if not count_before or not count_now or max(count_before, count_now) > _SLIP_MAX_GROWTH * min(count_before, count_now):
            return none
        places = self.grid.places
        apart = (now @ places / count_now - before @ places / count_before).astype(np.float32)
        return _SLIP_GAIN * apart if bool((np.abs(apart) <= _SLIP_MAX_CELLS * self.grid.cell_xy).all()) else none
