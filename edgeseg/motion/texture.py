"""The anchor's masks, each in its box's own coordinates: looked up once, then moved with its pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeseg.masks import THRESHOLD
from edgeseg.opencv import opencv
from edgeseg.types import F32Array, F64Array, Instances, SizeHW

SIDE = 44
"""T: texels along each side."""
REACH = 1.15
"""Half the side of a texture in a box's own coordinates, in which the box ends at 1: masks reach a little beyond their boxes."""


@dataclass(frozen=True, repr=False)
class Textures:
    """N soft masks on T x T texels. What lies outside the picture goes on as it is at the picture's edge; see `Patches` for poses."""

    rest: F64Array
    """float64 (N, 2, 3): the poses of the boxes in the anchor."""
    values: F32Array
    """float32 (N, T, T), 0..1."""
    image_hw: SizeHW

    @classmethod
    def of(cls, found: Instances, rest: F64Array) -> Textures:
        """The masks around boxes that rest there."""
        height, width = found.image_hw
        along = ((np.arange(SIDE) + 0.5) * (2 / SIDE) - 1) * REACH
        x = (rest[:, 0, :1] * along + rest[:, 0, 2:]).astype(np.float32)
        y = (rest[:, 1, 1:2] * along + rest[:, 1, 2:]).astype(np.float32)
        inner_x, inner_y = np.clip(x, 0.5, width - 0.5), np.clip(y, 0.5, height - 0.5)
        values, at = np.empty((len(rest), SIDE, SIDE), np.float32), np.empty((2, SIDE, SIDE), np.float32)
        for i in range(len(rest)):
            at[0], at[1] = inner_x[i], inner_y[i][:, None]
            values[i] = found.masks.at(i, at[0], at[1])
        # The outermost texels stand for all that lies farther out.
        for last in (0, -1):
            values[x[:, last] == inner_x[:, last], :, last] = 0
            values[y[:, last] == inner_y[:, last], last] = 0
        return cls(rest, values, found.image_hw)

    def look(self, x: F32Array, y: F32Array) -> F32Array:
        """float32 (N, ...): the masks, each at its own texels (N, ...)."""
        cv2 = opencv()
        count = len(self.values)
        tops = (np.arange(count, dtype=np.float32) * SIDE).reshape(count, *(1,) * (y.ndim - 1))
        rows = np.clip(y, 0, SIDE - 1) + tops
        stacked = self.values.reshape(-1, SIDE)
        flat = cv2.remap(stacked, x.reshape(count, -1), rows.reshape(count, -1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(flat.reshape(x.shape), np.float32)

    def overlap(self, i: int, j: int) -> float:
        """Part of mask ``j`` that lies in mask ``i`` in the anchor, 0..1."""
        along = np.arange(0, SIDE, 2).astype(np.float32)
        inside = self.values[j, ::2, ::2] > THRESHOLD
        shared = inside & (self.held(i, j, *np.meshgrid(along, along)) > THRESHOLD)
        return float(shared.sum() / max(inside.sum(), 1))

    def held(self, i: int, j: int, x: F32Array, y: F32Array) -> F32Array:
        """float32 (h, w): values of mask ``i`` at texels (h, w) of mask ``j``."""
        cv2 = opencv()
        at = []
        for axis, texel in enumerate((x, y)):
            scale = self.rest[j, axis, axis] / self.rest[i, axis, axis]
            apart = (self.rest[j, axis, 2] - self.rest[i, axis, 2]) / self.rest[i, axis, axis]
            middle = SIDE / 2 - 0.5
            at.append(texel * np.float32(scale) + np.float32(middle * (1 - scale) + apart * SIDE / 2 / REACH))
        held: F32Array = cv2.remap(self.values[i], *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return held

    @cached_property
    def extents(self) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 in pixels of the masks in the anchor; zero where one is empty."""
        own = (edges(self.values) * 2 - 1) * REACH
        scale, middle = self.rest[:, [0, 1, 0, 1], [0, 1, 0, 1]], self.rest[:, [0, 1, 0, 1], 2]
        height, width = self.image_hw
        extents = np.clip(own * scale + middle, 0, [width, height, width, height])
        extents[own[:, 0] >= own[:, 2]] = 0
        return np.asarray(extents, np.float32)


def to_texels(own: F32Array) -> F32Array:
    """From a box's own coordinates to texels whose middles are whole numbers."""
    return own * np.float32(SIDE / 2 / REACH) + np.float32(SIDE / 2 - 0.5)


def edges(values: F32Array) -> F32Array:
    """float32 (N, 4): left, top, right and bottom edge of masks (N, S, S) as parts 0..1 of their side; all 0 where one is empty."""
    across, down = values.max(axis=1), values.max(axis=2)
    left, top, right, bottom = _first(np.concatenate([across, down, across[:, ::-1], down[:, ::-1]])).reshape(4, -1)
    found = np.stack([left, top, 1 - right, 1 - bottom], axis=1)
    found[across.max(axis=1) <= THRESHOLD] = 0
    return found


def _first(profiles: F32Array) -> F32Array:
    """float32 (M,): where rows of values (M, S) first exceed the threshold, to a fraction of a cell, as a part of their length."""
    row, index = np.arange(len(profiles)), (profiles > THRESHOLD).argmax(axis=1)
    value, before = profiles[row, index], profiles[row, np.maximum(index - 1, 0)]
    # Between the middles of two cells; the first cell begins at the very edge.
    back = np.where(index > 0, (value - THRESHOLD) / np.maximum(value - before, np.float32(1e-6)), np.float32(0.5))
    first: F32Array = ((index + np.float32(0.5) - back) / np.float32(profiles.shape[1])).astype(np.float32)
    return first
