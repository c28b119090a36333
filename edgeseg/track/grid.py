"""The reduced grid on which masks are compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from edgeseg.types import F32Array, Masks, SizeHW

SHORTER_SIDE = 90
"""Cells along the shorter side; smaller pictures have a cell for every pixel."""
LONGER_SIDE_MAX = 320
_MARGIN = 2
"""Cells around a box in which its mask is looked for: boxes cut masks short."""
Window: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True, repr=False)
class Grid:
    """Cells that cover a picture."""

    image_hw: SizeHW
    x: F32Array
    """float32 (h, w): middles of the cells in pixels."""
    y: F32Array

    @property
    def hw(self) -> SizeHW:
        """Rows and columns."""
        return self.x.shape[0], self.x.shape[1]

    def window(self, box: F32Array, margin: int = _MARGIN) -> Window:
        """Rows and columns of the cells that a box float32 (4,) in pixels touches, and ``margin`` more; at least one cell."""
        (rows, columns), (height, width) = self.hw, self.image_hw
        x1, y1, x2, y2 = box.tolist()
        left, right = _span(x1 * columns / width - margin, x2 * columns / width + margin, columns)
        top, bottom = _span(y1 * rows / height - margin, y2 * rows / height + margin, rows)
        return slice(top, bottom), slice(left, right)

    def draw(self, masks: Masks, boxes: F32Array) -> F32Array:
        """Which cells belong to each mask: float32 (N, h * w), 0 or 1."""
        drawn = np.zeros((len(masks), *self.hw), np.float32)
        for i, box in enumerate(boxes):
            window = self.window(box)
            drawn[i][window] = masks.at(i, self.x[window], self.y[window]) > 0.5
        return drawn.reshape(len(masks), self.x.size)


@lru_cache(maxsize=4)
def grid_of(image_hw: SizeHW) -> Grid:
    """The grid for pictures of a size. Its arrays are shared; do not write to them."""
    scale = min(1.0, SHORTER_SIDE / min(image_hw), LONGER_SIDE_MAX / max(image_hw))
    rows, columns = (max(1, round(side * scale)) for side in image_hw)
    x = ((np.arange(columns) + 0.5) * (image_hw[1] / columns)).astype(np.float32)
    y = ((np.arange(rows) + 0.5) * (image_hw[0] / rows)).astype(np.float32)
    return Grid(image_hw, *np.meshgrid(x, y))


def _span(low: float, high: float, cells: int) -> tuple[int, int]:
    # Boxes may lie outside the picture; without the limits their sides might be too large for an int.
    first = int(min(max(low, 0), cells - 1))
    return first, int(min(max(np.ceil(high), first + 1), cells))
