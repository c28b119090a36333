"""Four times larger, bilinear (half-pixel centres): the same numbers whether a whole map is made larger or a part of it."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array

SCALE = 4
_BETWEEN = ((np.arange(SCALE, dtype=np.float32) + np.float32(0.5)) / SCALE).astype(np.float32)
"""Where the pixels between two cells' centres lie, as parts of the way."""


def upsampled(cells: F32Array) -> F32Array:
    """float32 (C, 4h, 4w) of maps float32 (C, h, w); beyond the border its values go on."""
    around = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return np.stack([larger(plane) for plane in around])


def larger(around: F32Array) -> F32Array:
    """float32 (4h, 4w) of cells with one more on each side: float32 (h + 2, w + 2).

    Every value lies between those of the four cells around it, also when rounded: the fractions are exact and at most 7/8.
    """
    rows, columns = around.shape
    wide = around[:, :-1, None] + _BETWEEN * np.diff(around, axis=1)[:, :, None]
    wide = wide.reshape(rows, -1)[:, SCALE // 2 : -SCALE // 2]
    high: F32Array = wide[:-1, None] + _BETWEEN[:, None] * np.diff(wide, axis=0)[:, None]
    return high.reshape(-1, SCALE * (columns - 2))[SCALE // 2 : -SCALE // 2]
