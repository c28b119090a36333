"""A frame's instances beside the tracks that are expected in it, drawn on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.track.appearance import BINS, MIN_CELLS, colour_bins, look
from edgeseg.track.grid import Grid, grid_of
from edgeseg.track.matching import Fit, Side, extents_of
from edgeseg.track.memory import Expected, Track, draw, expect
from edgeseg.track.settings import TrackerSettings
from edgeseg.types import F32Array, Frame, I64Array, Instances


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
        there = Side(found.classes, found.boxes, extents_of(found.boxes), drawn, looks)
        expected = [expect(track, step, grid) for track, step in zip(tracks, steps, strict=True)]
        here = Side(
            np.array([track.class_id for track in tracks], np.int64),
            np.array([one.box for one in expected], np.float32).reshape(len(tracks), 4),
            np.array([track.extent for track in tracks], np.float32),
            draw(expected, grid),
            np.array([track.look for track in tracks], np.float32).reshape(len(tracks), BINS),
        )
        return cls(grid, bins, expected, here, there, Fit.of(here, there))

    def in_sight(self, t: int, settings: TrackerSettings) -> bool:
        """Whether track ``t`` still seems to be where it was expected: its colours are there, and what was found hides less than half.

        What was found in the very same place does not hide it: that is the object itself, taken for another class.
        """
        cells = self.tracks.drawn[t]
        if cells.sum() < MIN_CELLS:
            return False
        others = self.found.drawn[self.fit.overlap[t] < settings.same_place]
        covered = float(others.max(axis=0, initial=0) @ cells)
        return 2 * covered <= cells.sum() and float(look(self.bins, cells) @ self.tracks.looks[t]) >= settings.min_likeness
