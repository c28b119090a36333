"""Bilinear resizing with antialiasing, equal to Pillow's on 8-bit pictures: what detectron2 resizes with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import F64Array, I64Array, SizeHW, U8Array

_ONE = 1 << 22
"""Pillow's weights for 8-bit pictures are whole multiples of 1 / _ONE."""
_BLOCK = 8
"""Output rows made by one matrix product: few, because the matrix grows with their number and most of it is zeros."""


@dataclass(frozen=True)
class _Block:
    """Consecutive output rows, and the input rows that they are weighted sums of."""

    output: slice
    input: slice
    weights: F64Array
    """float64 (output rows, input rows)."""


def antialiased(pixels: U8Array, size_hw: SizeHW) -> U8Array:
    """A picture uint8 (H, W, 3) at another size; first along rows, then along columns, rounded to uint8 after each."""
    cv = opencv()
    height, width = size_hw
    wide = pixels
    if width != pixels.shape[1]:
        wide = np.asarray(cv.transpose(_resized_rows(cv.transpose(pixels), width)))
    return wide if height == pixels.shape[0] else _resized_rows(wide, height)


def _resized_rows(pixels: U8Array, count: int) -> U8Array:
    """uint8 (n, m, 3) -> (count, m, 3). Products and sums of whole numbers below 2**53 in float64, hence exact."""
    resized = np.empty((count, *pixels.shape[1:]), np.uint8)
    source, target = pixels.reshape(len(pixels), -1), resized.reshape(count, -1)
    for block in _blocks(len(pixels), count):
        rows = block.weights @ source[block.input].astype(np.float64)
        rows += 0.5
        target[block.output] = rows
    return resized


@lru_cache(maxsize=16)
def _blocks(before: int, after: int) -> tuple[_Block, ...]:
    """How ``after`` pixels along one axis come from ``before``."""
    return tuple(_make_blocks(before, after))


def _make_blocks(before: int, after: int) -> Iterator[_Block]:
    first, weights = _taps(before, after)
    for start in range(0, after, _BLOCK):
        begin, taps = first[start : start + _BLOCK], weights[start : start + _BLOCK]
        low = int(begin.min())
        matrix = np.zeros((len(begin), int(begin.max()) - low + taps.shape[1]))
        np.put_along_axis(matrix, (begin - low)[:, None] + np.arange(taps.shape[1]), taps, axis=1)
        # Beyond the last input pixel all weights are zero.
        high = min(low + matrix.shape[1], before)
        yield _Block(slice(start, start + len(begin)), slice(low, high), matrix[:, : high - low])


def _taps(before: int, after: int) -> tuple[I64Array, F64Array]:
    """First input pixel, int64 (after,), and weights, float64 (after, k), of every output pixel along one axis.

    A triangle as wide as two input pixels, or two output pixels where these are wider, and no part of it beyond the border.
    """
    scale = before / after
    support = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), before)
    pixel = first[:, None] + np.arange((last - first).max())
    weights = np.clip(1 - np.abs((pixel - centre[:, None] + 0.5) * (1 / support)), 0, None)
    weights[pixel >= last[:, None]] = 0
    # Summed one after the other as Pillow does; numpy's own sum rounds otherwise.
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    return first, np.floor(weights * _ONE + 0.5) / _ONE
