"""What instances look like: colour histograms over their masks."""

from __future__ import annotations

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import F32Array, I64Array, SizeHW, U8Array

_LIGHTNESS_STEP = 32
_COLOUR_STEP = 12
_COLOURS = 8
BINS = (256 // _LIGHTNESS_STEP) * _COLOURS * _COLOURS
MIN_CELLS = 3
"""Masks of fewer cells have no colours that could be trusted."""


def colour_bins(pixels: U8Array, grid_hw: SizeHW) -> I64Array:
    """Which bin of the CIELAB colour space each cell of a grid falls into: int64 (h * w,) of an image uint8 (H, W, 3) BGR."""
    cv2 = opencv()
    small = cv2.resize(pixels, grid_hw[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2Lab).astype(np.int64).reshape(-1, 3)
    # OpenCV's 8-bit a and b lie around 128; most pictures stay near it, so the steps are finer than for lightness.
    a, b = (np.clip((lab[:, k] - 128) // _COLOUR_STEP + _COLOURS // 2, 0, _COLOURS - 1) for k in (1, 2))
    bins: I64Array = (lab[:, 0] // _LIGHTNESS_STEP * _COLOURS + a) * _COLOURS + b
    return bins


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
