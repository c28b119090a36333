"""Soft low-resolution masks that become pixels only when asked, only inside their window; COCO run-length code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, BoolArray, F32Array, I64Array, Rle, SizeHW

THRESHOLD = np.float32(0.5)
_RLE_GROUP_BITS = 5


@dataclass(frozen=True)
class SoftMask:
    """One mask as a small grid of values that covers a rectangle of the image."""

    values: F32Array
    """float32 (h, w) in 0..1. Beyond the grid the border value goes on."""
    rectangle: tuple[float, float, float, float]
    """x1, y1, x2, y2 in image pixels: the area that the grid's cells cover."""
    window: tuple[int, int, int, int]
    """x1, y1, x2, y2 in whole pixels inside the image: outside it the mask is empty."""

    def at(self, x: F32Array, y: F32Array) -> F32Array:
        """Soft values float32 (h, w) at points float32 (h, w) of the image, in pixels. 0 outside the window; bilinear, to 1/32 cell."""
        cv = opencv()
        left, top, right, bottom = self.rectangle
        rows, columns = self.values.shape
        grid_x = (x - np.float32(left)) * np.float32(columns / (right - left)) - np.float32(0.5)
        grid_y = (y - np.float32(top)) * np.float32(rows / (bottom - top)) - np.float32(0.5)
        values: F32Array = cv.remap(self.values, grid_x, grid_y, cv.INTER_LINEAR, borderMode=cv.BORDER_REPLICATE)
        x1, y1, x2, y2 = self.window
        values[(x < x1) | (x >= x2) | (y < y1) | (y >= y2)] = 0
        return values


@dataclass(frozen=True)
class SoftMasks:
    """N soft masks of one image. A pixel belongs to a mask when the bilinear value at its centre is above 0.5."""

    masks: tuple[SoftMask, ...]
    image_hw: SizeHW

    def __len__(self) -> int:
        return len(self.masks)

    def select(self, index: AnyArray) -> SoftMasks:
        """The masks named by an integer or boolean index."""
        chosen = np.arange(len(self.masks))[index]
        return SoftMasks(tuple(self.masks[i] for i in chosen), self.image_hw)

    def crop(self, i: int) -> tuple[int, int, BoolArray]:
        """``(y, x, bool (h, w))``: mask ``i`` inside its window."""
        x, y = self.masks[i].window[:2]
        return y, x, _inside(self.masks[i])

    def paste(self, i: int) -> BoolArray:
        """Mask ``i`` as bool (H, W)."""
        y, x, inside = self.crop(i)
        full = np.zeros(self.image_hw, bool)
        full[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        return full

    def at(self, i: int, x: F32Array, y: F32Array) -> F32Array:
        """Soft values of mask ``i`` at points of the image; see `SoftMask.at`."""
        return self.masks[i].at(x, y)

    def rle(self, i: int) -> Rle:
        """Mask ``i`` as COCO run-length code. No pixel is visited: runs end where the interpolated values cross the threshold."""
        height, width = self.image_hw
        bounds = _run_bounds(self.masks[i], height)
        counts = np.diff(bounds, prepend=0)
        # Runs alternate from zeros to ones; the last run of zeros is left out when the mask ends with the image.
        if len(bounds) == 0 or bounds[-1] < height * width:
            counts = np.append(counts, height * width - (bounds[-1] if len(bounds) else 0))
        return Rle(size=[height, width], counts=_compress(counts))


def _inside(mask: SoftMask) -> BoolArray:
    """bool (h, w): which pixels of the window belong to the mask."""
    x1, y1, x2, y2 = mask.window
    rows = np.empty((y2 - y1, x2 - x1), bool)
    if not rows.size:
        return rows
    left, top, right, bottom = mask.rectangle
    cell, fraction = _taps(y1, y2, top, bottom, len(mask.values))
    values = np.ascontiguousarray(_interpolated(mask.values.T, x1, x2, left, right).T)
    rise, gap = np.diff(values, axis=0, append=values[-1:]), THRESHOLD - values
    # Pixel rows between the same two grid rows at a time: value + fraction * rise > threshold, while all of it is in the cache.
    first = 0
    for last in (*(np.flatnonzero(np.diff(cell)) + 1), len(cell)):
        at = cell[first]
        np.greater(fraction[first:last, None] * rise[at], gap[at], out=rows[first:last])
        first = last
    return rows


def _run_bounds(mask: SoftMask, height: int) -> I64Array:
    """Column-major positions in an image of ``height`` rows at which runs of ones start and end, in turn: int64 (2 * runs,).

    Along a pixel column the values are linear between two grid rows, so each crossing of the threshold is solved for.
    """
    x1, y1, x2, y2 = mask.window
    left, top, right, bottom = mask.rectangle
    if x1 >= x2 or y1 >= y2:
        return np.zeros(0, np.int64)
    values = _interpolated(mask.values.T, x1, x2, left, right)
    cells = values.shape[1]
    # Outside on both ends of every column, so that what starts or ends at the window's edge has a crossing too.
    inside = np.zeros((len(values), cells + 2), bool)
    inside[:, 1:-1] = values > THRESHOLD
    column, behind = np.nonzero(inside[:, 1:] != inside[:, :-1])
    before, after = values[column, np.maximum(behind - 1, 0)], values[column, np.minimum(behind, cells - 1)]
    rise = np.where(after == before, np.float32(1), after - before)
    crossing = (behind - 0.5 + (THRESHOLD - before) / rise) * ((bottom - top) / cells) + top - 0.5
    # The first pixel behind a rise lies beyond the crossing; the first behind a fall may lie on it.
    row = np.where(inside[column, behind + 1], np.floor(crossing) + 1, np.ceil(crossing))
    row = np.where(behind == 0, y1, np.where(behind == cells, y2, np.clip(row, y1, y2)))
    bounds = np.maximum.accumulate((column + x1) * height + row.astype(np.int64))
    return _toggled(bounds)


def _toggled(bounds: I64Array) -> I64Array:
    """Those of the sorted positions that occur an odd number of times.

    Two crossings between the same two pixels undo each other, and so do the end of a run at the bottom of the picture
    and the start of the next at its top.
    """
    first = np.flatnonzero(np.diff(bounds, prepend=-1))
    if len(first) == len(bounds):
        return bounds
    odd: I64Array = bounds[first[np.diff(first, append=len(bounds)) % 2 == 1]]
    return odd


def _interpolated(values: F32Array, first: int, last: int, low: float, high: float) -> F32Array:
    """float32 (pixels, n): grid values (cells, n) interpolated along their first axis at the pixels ``first`` to ``last``."""
    cell, fraction = _taps(first, last, low, high, len(values))
    here = values[cell]
    return here + fraction[:, None] * (values[np.minimum(cell + 1, len(values) - 1)] - here)


def _taps(first: int, last: int, low: float, high: float, cells: int) -> tuple[I64Array, F32Array]:
    """Where pixel centres lie between cell centres along one axis (half-pixel rule, align_corners=False).

    Args:
        first, last: the pixels, half open.
        low, high: what the ``cells`` cells cover, in pixels.

    Returns:
        Index of the cell before each pixel, int64, and the weight of the one behind it, float32 in 0..1.
    """
    position = (np.arange(first, last) + 0.5 - low) * (cells / (high - low)) - 0.5
    position = np.clip(position, 0, cells - 1)
    cell = position.astype(np.int64)
    return cell, (position - cell).astype(np.float32)


def grid_mask(values: F32Array, start_xy: tuple[int, int], grid_hw: SizeHW, image_hw: SizeHW) -> SoftMask:
    """A mask known on a window of a coarse grid that covers the whole image; zero in all other cells.

    Args:
        values: float32 (h, w), the window's cells.
        start_xy: column and row of its first cell.
        grid_hw: size of the whole grid.
        image_hw: size of the image that the grid covers.
    """
    column, row = start_xy
    rows, columns = values.shape
    cell_x, cell_y = image_hw[1] / grid_hw[1], image_hw[0] / grid_hw[0]
    # One ring of zero cells, so that values fall off across the window's border as they do in the full grid;
    # not at the picture's edge, where bilinear resizing repeats the last cell.
    left, top = int(column > 0), int(row > 0)
    right, bottom = int(column + columns < grid_hw[1]), int(row + rows < grid_hw[0])
    rectangle = ((column - left) * cell_x, (row - top) * cell_y, (column + columns + right) * cell_x, (row + rows + bottom) * cell_y)
    # A pixel can only exceed 0.5 when most of its weight lies on the window's cells, so its centre is inside them.
    x1, x2 = _pixels_between(column * cell_x, (column + columns) * cell_x, image_hw[1])
    y1, y2 = _pixels_between(row * cell_y, (row + rows) * cell_y, image_hw[0])
    if rows == 0 or columns == 0:
        return SoftMask(np.zeros((1, 1), np.float32), (0.0, 0.0, 1.0, 1.0), (0, 0, 0, 0))
    return SoftMask(np.pad(values, ((top, bottom), (left, right))), rectangle, (x1, y1, x2, y2))


def _pixels_between(low: float, high: float, side: int) -> tuple[int, int]:
    first, last = int(np.floor(low)), int(np.ceil(high))
    return min(max(first, 0), side), min(max(last, 0), side)


def _compress(counts: AnyArray) -> str:
    """COCO's text form (cocoapi maskApi.c, rleToString): differences to the last but one count, five bits a character."""
    values = counts.astype(np.int32)
    values[3:] -= counts[1:-2]
    size = _characters(values)
    start = np.cumsum(size) - size
    text = np.empty(int(size.sum()), np.uint8)
    for group in range(int(size.max())):
        # Most counts fit one character or two, so later rounds are short.
        low = values & 31
        more = size > group + 1
        text[start + group] = low + 48 + 32 * more
        values, size, start = values[more] >> _RLE_GROUP_BITS, size[more], start[more]
    return text.tobytes().decode("ascii")


def _characters(values: AnyArray) -> AnyArray:
    """How many groups of five bits each value takes, the sign bit included."""
    magnitude = values ^ (values >> 31)
    size = np.ones(len(values), np.int32)
    limit = 1 << (_RLE_GROUP_BITS - 1)
    while (longer := magnitude >= limit).any():
        size += longer
        limit <<= _RLE_GROUP_BITS
    return size
