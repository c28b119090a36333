"""Panoptic maps as numbers of rows: what drawing and writing them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, I32Array, I64Array, Panoptic, U8Array

_TABLE_MAX = 1 << 20
"""Numbers in a map up to which a look-up table serves; beyond it they are searched for."""


def rows_of(panoptic: Panoptic) -> AnyArray:
    """Which segment each pixel belongs to: 1 + its place in ``segments``, 0 = void or no segment's.

    uint8 (H, W) where there are fewer than 256 segments, which OpenCV's look-ups want; else int32.
    """
    numbers = np.array([segment.id for segment in panoptic.segments], np.int64)
    rows = np.arange(1, len(numbers) + 1).astype(np.uint8 if len(numbers) < 256 else np.int32)
    low, top = (int(bound) for bound in (panoptic.ids.min(initial=0), max(panoptic.ids.max(initial=0), numbers.max(initial=0))))
    if low < 0 or top >= _TABLE_MAX:
        return _searched(panoptic.ids, numbers, rows)
    table = np.zeros(max(top + 1, 256), rows.dtype)
    table[numbers] = rows
    if top < 256:
        small: U8Array = opencv().LUT(panoptic.ids.astype(np.uint8), table)
        return small
    return table[panoptic.ids]


def _searched(ids: I32Array, numbers: I64Array, rows: AnyArray) -> AnyArray:
    """The same for numbers of any size."""
    if not len(numbers):
        return np.zeros(ids.shape, rows.dtype)
    order = np.argsort(numbers)
    places = np.searchsorted(numbers[order], ids).clip(max=len(numbers) - 1)
    return np.where(numbers[order][places] == ids, rows[order][places], 0).astype(rows.dtype)


def looked_up(rows: AnyArray, values: U8Array) -> U8Array:
    """A value for each pixel, uint8 (H, W), from one for each row: uint8 (N + 1,), that of row 0 first."""
    if rows.dtype != np.uint8:
        return values[rows]
    table = np.zeros(256, np.uint8)
    table[: len(values)] = values
    found: U8Array = opencv().LUT(rows, table)
    return found


def painted(rows: AnyArray, colours: U8Array) -> U8Array:
    """A colour for each pixel, uint8 (H, W, 3), from one for each row: uint8 (N + 1, 3), that of row 0 first."""
    # Channel by channel is several times faster than NumPy's look-up of whole colours.
    pixels: U8Array = opencv().merge([looked_up(rows, channel) for channel in colours.T])
    return pixels


@dataclass(frozen=True, repr=False)
class Extents:
    """Where N segments lie in a map, and how large they are."""

    areas: I64Array
    """int64 (N,): pixels; 0 for a segment without any."""
    boxes: I32Array
    """int32 (N, 4): x, y, width, height in pixels; zeros for a segment without any."""


def extents_of(rows: AnyArray, count: int) -> Extents:
    """Extents of the segments 1 ... ``count`` of a map (H, W), see `rows_of`."""
    height, width = rows.shape
    # A map is a few thousand runs of equal pixels; all else is about runs.
    begins = np.ones((height, width), bool)
    begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
    start = np.flatnonzero(begins)
    lengths = np.diff(start, append=rows.size)
    numbers, x, y = rows.reshape(-1)[start].astype(np.int64), start % width, start // width
    areas = np.bincount(numbers, lengths, count + 1).astype(np.int64)[1:]
    low, high = np.full((count + 1, 2), max(height, width)), np.zeros((count + 1, 2), np.int64)
    for axis, (first, last) in enumerate(((x, x + lengths), (y, y + 1))):
        np.minimum.at(low[:, axis], numbers, first)
        np.maximum.at(high[:, axis], numbers, last)
    boxes = np.hstack([low, high - low])[1:]
    boxes[areas == 0] = 0
    return Extents(areas, boxes.astype(np.int32))


def centre_of(inside: U8Array) -> tuple[int, int]:
    """The pixel x, y of a region that is farthest from its edge.

    Args:
        inside: uint8 (h, w), not 0 inside; beyond its border is outside.
    """
    cv2 = opencv()
    bordered = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    x, y = cv2.minMaxLoc(cv2.distanceTransform(bordered, cv2.DIST_L2, 3))[3]
    return x - 1, y - 1
