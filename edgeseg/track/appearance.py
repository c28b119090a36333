"""What instances look like: colour histograms over their masks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import F32Array, I64Array, SizeHW, U8Array

_STEPS = (32, 12, 12)
"""Width of the bins along L, a and b of OpenCV's 8-bit CIELAB."""
_SIDE = 8
"""Bins along each. a and b lie around 128, and most pictures stay near it: what is farther off falls into the outermost bins."""
BINS = _SIDE**3
MIN_CELLS = 3
"""Masks of fewer cells have no colours that could be trusted."""


def colour_bins(pixels: U8Array, grid_hw: SizeHW) -> I64Array:
    """Which bin of the CIELAB colour space each cell of a grid falls into: int64 (h * w,) of an image uint8 (H, W, 3) BGR."""
    cv2 = opencv()
    rows, columns = grid_hw
    if pixels.shape[0] > 2 * rows and pixels.shape[1] > 2 * columns:
        # Averaging all pixels would cost three times as much.
        pixels = cv2.resize(pixels, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2Lab).reshape(-1, 3)
    tables = _tables()
    bins: I64Array = tables[0][lab[:, 0]] + tables[1][lab[:, 1]] + tables[2][lab[:, 2]]
    return bins


@lru_cache(maxsize=1)
def _tables() -> tuple[I64Array, I64Array, I64Array]:
    """For each channel, what each of its 256 values adds to the number of the bin."""
    values = np.arange(256)
    lightness, a, b = (np.clip((values - 128) // step + _SIDE // 2, 0, _SIDE - 1) for step in _STEPS)
    return lightness * _SIDE * _SIDE, a * _SIDE, b


def look(bins: I64Array, drawn: F32Array) -> F32Array:
    """Square roots of a colour histogram, float32 (BINS,) of length 1, so that a product of two is their Bhattacharyya coefficient.

    Args:
        bins: int64 (h * w,) from `colour_bins`.
        drawn: float32 (h * w,), the cells of a mask; zeros come out where there are fewer than MIN_CELLS.
    """
    inside = bins[drawn > 0]
    if len(inside) < MIN_CELLS:
        return np.zeros(BINS, np.float32)
    root: F32Array = np.sqrt(np.bincount(inside, minlength=BINS) / len(inside)).astype(np.float32)
    return root
