"""A lattice of S x S cells over the window of each of N instances, so that all of them are handled at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeseg.motion.texture import edges
from edgeseg.types import F32Array, F64Array, I64Array, SizeHW

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

    def places(self, i: int, j: int, axis: int, cells: slice) -> F32Array:
        """float32 (cells,): where among the cells of window ``i`` some cells of window ``j`` lie along an axis; middles are whole."""
        low, high = self._sides[i][axis]
        middles = (self.y if axis else self.x)[j, cells]
        places: F32Array = (middles - np.float32(low)) * np.float32(SIDE / max(high - low, 1)) - np.float32(0.5)
        return places

    @cached_property
    def _sides(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """For each window its first and last pixel, along x and along y."""
        return [((x1, x2), (y1, y2)) for x1, y1, x2, y2 in self.windows.tolist()]

    def mapped(self, affine: F64Array) -> F32Array:
        """float32 (2, N, S, S): the cells' middles, moved by one affine matrix (N, 2, 3) for each window."""
        matrix = affine.astype(np.float32)[..., None]
        points = np.empty((2, len(self.windows), SIDE, SIDE), np.float32)
        for row in range(2):
            across, down = matrix[:, row, 0] * self.x, matrix[:, row, 1] * self.y + matrix[:, row, 2]
            np.add(across[:, None, :], down[:, :, None], out=points[row])
        return points

    def extents(self, values: F32Array) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 in pixels of masks (N, S, S); zero where one is empty."""
        parts = edges(values)
        low, size = self.windows[:, :2], self.windows[:, 2:] - self.windows[:, :2]
        extents = np.tile(low, 2) + parts * np.tile(size, 2)
        extents[parts[:, 0] >= parts[:, 2]] = 0
        return np.asarray(extents, np.float32)
