"""Masks that are smooth in time: the last one, moved along the flow, is blended into the new one where the two nearly agree."""

from __future__ import annotations

import numpy as np

from edgeseg.masks import SoftMask
from edgeseg.opencv import opencv
from edgeseg.track.grid import View
from edgeseg.types import F32Array, Masks

MEMORY = 0.7
"""Weight of the past where it agrees with the new mask."""
TOLERANCE = 0.5
"""Local mean difference, in mask values, from which the past has no weight: the shape has really changed."""


def smoothed(new: SoftMask, old: Masks, view: View) -> SoftMask:
    """The new mask on its own grid, with the past blended in.

    Jitter of an outline changes thin lines, whose local mean is small; a change of shape changes whole areas. So the
    past loses its weight with the local mean of the difference, and real changes are followed at once.

    Args:
        new: a mask of this frame.
        old: the one mask of its track in the last frame, smoothed itself.
        view: the way from this frame back to the last.
    """
    x, y = cell_centres(new)
    past = view.recall(old, x, y)
    difference = past - new.values
    local = opencv().blur(difference, (3, 3))
    weight = np.float32(MEMORY) * np.clip(1 - np.abs(local) / np.float32(TOLERANCE), 0, 1)
    return SoftMask(new.values + weight * difference, new.rectangle, new.window)


def cell_centres(mask: SoftMask) -> tuple[F32Array, F32Array]:
    """float32 (h, w) each: x and y of the middles of a mask's cells, in pixels of the image."""
    rows, columns = mask.values.shape
    left, top, right, bottom = mask.rectangle
    x = left + (np.arange(columns, dtype=np.float32) + np.float32(0.5)) * np.float32((right - left) / columns)
    y = top + (np.arange(rows, dtype=np.float32) + np.float32(0.5)) * np.float32((bottom - top) / rows)
    grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return grid_x, grid_y
