"""The best of many upsampled channels at every pixel, without making them all larger.

The 4 x 4 pixels between four cells' centres have values between those of the cells. So a channel is looked at only between cells where its
largest value is not below the smallest that some channel has there; between most cells that is one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeseg.ops.panoptic.detections import VOID
from edgeseg.ops.panoptic.removal import Window
from edgeseg.ops.panoptic.upsample import SCALE, STEPS
from edgeseg.types import AnyArray, F32Array, I32Array, I64Array, SizeHW


def floor_of(cells: F32Array) -> F32Array:
    """float32 (h + 1, w + 1): what the largest channel of (C, h, w) is at least, between every four cells; minus infinity of none."""
    floor = np.full((cells.shape[1] + 1, cells.shape[2] + 1), -np.inf, np.float32)
    for around in _padded(cells):
        low = np.minimum(around[:-1], around[1:])
        np.maximum(floor, np.minimum(low[:, :-1], low[:, 1:]), out=floor)
    return floor


def largest(cells: F32Array, limit: F32Array, place: Window) -> tuple[F32Array, I32Array]:
    """The largest of the channels and the lowest that has it.

    Args:
        cells: float32 (C, h, w).
        limit: float32 (h + 1, w + 1): channels that are all below it between four cells are not looked at there.
        place: of the result, in pixels from the first cell on, up to (4h, 4w).

    Returns:
        float32 and int32 (H, W); minus infinity and `VOID` where no channel was looked at.
    """
    best = np.full((limit.size, SCALE, SCALE), -np.inf, np.float32)
    channel = np.full((limit.size, SCALE, SCALE), VOID, np.int32)
    for number, around in enumerate(_padded(cells)):
        high = np.maximum(around[:-1], around[1:])
        at = np.flatnonzero(np.maximum(high[:, :-1], high[:, 1:]) >= limit)
        if not len(at):
            continue
        values, before = _between(around, at), best[at]
        more = values > before
        best[at] = np.where(more, values, before)
        channel[at] = np.where(more, np.int32(number), channel[at])
    return _as_picture(best, limit.shape, place), _as_picture(channel, limit.shape, place)


def _padded(cells: F32Array) -> Iterator[F32Array]:
    """Each channel with its border repeated, float32 (h + 2, w + 2); the same array every time."""
    around = np.empty((cells.shape[1] + 2, cells.shape[2] + 2), np.float32)
    for plane in cells:
        around[1:-1, 1:-1] = plane
        around[0, 1:-1], around[-1, 1:-1] = plane[0], plane[-1]
        around[:, 0], around[:, -1] = around[:, 1], around[:, -2]
        yield around


def _between(around: F32Array, at: I64Array) -> F32Array:
    """float32 (n, 4, 4): a channel between the four cells at some places of the grid; as `larger` has it, to the last digit."""
    row, column = np.divmod(at, around.shape[1] - 1)
    first = row * around.shape[1] + column
    flat = around.reshape(-1)
    corners = flat[first[:, None, None] + np.array([[0, 1], [around.shape[1], around.shape[1] + 1]])]
    wide = corners[:, :, :1] + STEPS * (corners[:, :, 1:] - corners[:, :, :1])
    values: F32Array = wide[:, :1] + STEPS[:, None] * (wide[:, 1:] - wide[:, :1])
    return values


def _as_picture(blocks: AnyArray, grid_hw: SizeHW, place: Window) -> AnyArray:
    """A part of blocks (grid, 4, 4) side by side; the first ones begin half a cell before the picture."""
    whole = blocks.reshape(*grid_hw, SCALE, SCALE).swapaxes(1, 2).reshape(grid_hw[0] * SCALE, grid_hw[1] * SCALE)
    start = -SCALE // 2
    return whole[place.slices(Window(start, start, start, start))]
