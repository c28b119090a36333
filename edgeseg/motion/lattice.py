"""A lattice of S x S cells over the window of each of N instances, so that all of them are handled at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeseg.masks import THRESHOLD
from edgeseg.types import F32Array, F64Array, I64Array, Instances, SizeHW

SIDE = 36
"""S: cells along each side of a window."""
MARGIN = 1.06
"""The window around a posed box, over the box: masks reach a little beyond their boxes."""


@dataclass(frozen=True, repr=False)
class Lattice:
    """Windows of whole pixels inside the picture; one without area holds nothing."""

    windows: I64Array
    """int64 (N, 4): x1, y1, x2, y2."""

    @classmethod
    def around(cls, poses: F64Array, image_hw: SizeHW) -> Lattice:
        """The windows of posed boxes (N, 2, 3); see `Patches`."""
        height, width = image_hw
        middle, reach = poses[:, :, 2], np.abs(poses[:, :, :2]).sum(axis=2) * MARGIN
        corners = np.concatenate([np.floor(middle - reach), np.ceil(middle + reach)], axis=1)
        return cls(np.clip(corners, 0, [width, height, width, height]).astype(np.int64))

    @cached_property
    def x(self) -> F32Array:
        """float32 (N, S): x of the cells' middles, in pixels."""
        return self._middles(0)

    @cached_property
    def y(self) -> F32Array:
        """float32 (N, S): y of the cells' middles."""
        return self._middles(1)

    def _middles(self, axis: int) -> F32Array:
        along = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) / np.float32(SIDE)
        low, high = self.windows[:, axis].astype(np.float32), self.windows[:, 2 + axis].astype(np.float32)
        middles: F32Array = low[:, None] + (high - low)[:, None] * along
        return middles

    def meetings(self) -> list[tuple[int, int]]:
        """All pairs of windows that share pixels."""
        low, high = self.windows[:, None, :2], self.windows[:, None, 2:]
        meet = (low < high.swapaxes(0, 1)).all(axis=2)
        return [(i, j) for i, j in np.argwhere(np.triu(meet & meet.T, 1)).tolist()]

    def common(self, i: int, j: int, axis: int) -> slice:
        """The cells of window ``j`` along an axis whose middles lie in window ``i``; none where it stops before it starts."""
        (low, high), (start, stop) = self._sides[i][axis], self._sides[j][axis]
        per_pixel = SIDE / max(stop - start, 1)
        first, last = math.ceil((low - start) * per_pixel - 0.5), math.ceil((high - start) * per_pixel - 0.5)
        return slice(max(first, 0), min(last, SIDE))

    def cells(self, i: int, j: int, axis: int) -> I64Array:
        """int64 (S,): the cell of window ``i`` in which each cell of window ``j`` has its middle along an axis."""
        low, high = self._sides[i][axis]
        middles = self.y[j] if axis else self.x[j]
        cells: I64Array = np.clip((middles - low) * (SIDE / max(high - low, 1)), 0, SIDE - 1).astype(np.int64)
        return cells

    @cached_property
    def _sides(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """For each window its first and last pixel, along x and along y."""
        return [((x1, x2), (y1, y2)) for x1, y1, x2, y2 in self.windows.tolist()]

    def points(self) -> F32Array:
        """float32 (2, N, S, S): x and y of the cells' middles."""
        points = np.empty((2, len(self.windows), SIDE, SIDE), np.float32)
        points[0], points[1] = self.x[:, None, :], self.y[:, :, None]
        return points

    def mapped(self, affine: F64Array) -> F32Array:
        """float32 (2, N, S, S): the cells' middles, moved by one affine matrix (N, 2, 3) for each window."""
        matrix = affine.astype(np.float32)[..., None]
        points = np.empty((2, len(self.windows), SIDE, SIDE), np.float32)
        for row in range(2):
            across, down = matrix[:, row, 0] * self.x, matrix[:, row, 1] * self.y + matrix[:, row, 2]
            np.add(across[:, None, :], down[:, :, None], out=points[row])
        return points

    def extents(self, values: F32Array) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 in pixels of masks (N, S, S), to a fraction of a cell; zero where one is empty."""
        across, down = values.max(axis=1), values.max(axis=2)
        left, top, right, bottom = _first(np.concatenate([across, down, across[:, ::-1], down[:, ::-1]])).reshape(4, -1)
        low, size = self.windows[:, :2], self.windows[:, 2:] - self.windows[:, :2]
        inner = np.stack([left, top, 1 - right, 1 - bottom], axis=1)
        extents = np.tile(low, 2) + inner * np.tile(size, 2)
        extents[across.max(axis=1) <= THRESHOLD] = 0
        return np.asarray(extents, np.float32)


def sampled(found: Instances, points: F32Array) -> F32Array:
    """float32 (N, S, S): soft values of the masks, each at its own points (2, N, S, S) in pixels."""
    values = np.empty(points.shape[1:], np.float32)
    for i in range(len(found)):
        values[i] = found.masks.at(i, points[0, i], points[1, i])
    return values


def _first(profiles: F32Array) -> F32Array:
    """float32 (M,): where rows of values (M, S) first exceed the threshold, as a part 0..1 of their length."""
    row, index = np.arange(len(profiles)), (profiles > THRESHOLD).argmax(axis=1)
    value, before = profiles[row, index], profiles[row, np.maximum(index - 1, 0)]
    # Between the middles of two cells; the first cell begins at the window's edge.
    back = np.where(index > 0, (value - THRESHOLD) / np.maximum(value - before, np.float32(1e-6)), np.float32(0.5))
    first: F32Array = ((index + np.float32(0.5) - back) / np.float32(SIDE)).astype(np.float32)
    return first
