"""Soft low-resolution masks that become pixels only when asked, only inside their window; COCO run-length code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        """``(y, x, bool (h, w))``: mask ``i`` inside its window; column-major in memory, as run-length code wants it."""
        x, y = self.masks[i].window[:2]
        return y, x, _inside(self.masks[i])

    def paste(self, i: int) -> BoolArray:
        """Mask ``i`` as bool (H, W)."""
        y, x, inside = self.crop(i)
        full = np.zeros(self.image_hw, bool)
        full[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        return full

    def rle(self, i: int) -> Rle:
        """Mask ``i`` as COCO run-length code; the image-size mask is never built."""
        return encode_rle(*self.crop(i), self.image_hw)


def _inside(mask: SoftMask) -> BoolArray:
    """bool (h, w): which pixels of the window belong to the mask; column-major in memory."""
    x1, y1, x2, y2 = mask.window
    columns = np.empty((x2 - x1, y2 - y1), bool)
    if not columns.size:
        return columns.T
    left, top, right, bottom = mask.rectangle
    cell, fraction = _taps(x1, x2, left, right, mask.values.shape[1])
    values = _interpolated_rows(mask.values, y1, y2, top, bottom)
    rise, gap = np.diff(values, axis=0, append=values[-1:]), THRESHOLD - values
    # Pixel columns between the same two grid columns at a time: value + fraction * rise > threshold, while all of it is in the cache.
    first = 0
    for last in (*(np.flatnonzero(np.diff(cell)) + 1), len(cell)):
        at = cell[first]
        np.greater(fraction[first:last, None] * rise[at], gap[at], out=columns[first:last])
        first = last
    return columns.T


def _interpolated_rows(values: F32Array, first: int, last: int, low: float, high: float) -> F32Array:
    """float32 (grid columns, pixels): grid values (rows, columns) interpolated along y at the pixels ``first`` to ``last``."""
    cell, fraction = _taps(first, last, low, high, len(values))
    below = values[np.minimum(cell + 1, len(values) - 1)]
    return np.ascontiguousarray((values[cell] + fraction[:, None] * (below - values[cell])).T)


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


def encode_rle(y: int, x: int, inside: BoolArray, image_hw: SizeHW) -> Rle:
    """COCO run-length code of a mask that is ``inside`` (h, w) with its top left at (x, y), and empty elsewhere."""
    height, width = image_hw
    bounds = _run_bounds(y, x, inside, height)
    counts = np.diff(bounds, prepend=0)
    # Runs alternate from zeros to ones; the last run of zeros is left out when the mask ends with the image.
    if len(bounds) == 0 or bounds[-1] < height * width:
        counts = np.append(counts, height * width - (bounds[-1] if len(bounds) else 0))
    return Rle(size=[height, width], counts=_compress(counts))


def _run_bounds(y: int, x: int, inside: BoolArray, height: int) -> I64Array:
    """Column-major positions in the whole image at which runs of ones start and end, in turn."""
    rows, columns = inside.shape
    # A zero before the first column and behind every column: one comparison over the flat array finds all ends.
    flat = np.zeros(1 + columns * (rows + 1), bool)
    flat[1:].reshape(columns, rows + 1)[:, :-1] = inside.T
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    # Flat position -> position in the image: every column before adds the rows outside the window, less its separator.
    bounds: I64Array = changes + changes // (rows + 1) * (height - rows - 1) + x * height + y
    # A run that reaches the bottom goes on at the top of the next column: drop the seam.
    seam = np.flatnonzero(bounds[1:-1:2] == bounds[2::2]) * 2 + 1
    return np.delete(bounds, np.concatenate([seam, seam + 1])) if len(seam) else bounds


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
