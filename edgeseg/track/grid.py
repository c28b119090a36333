"""The reduced grid on which masks are compared, and the way from a frame back to the one before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from edgeseg.motion import Motion
from edgeseg.opencv import opencv
from edgeseg.types import F32Array, Masks, SizeHW

STILL_GRID_SIDE = 90
"""Cells along the shorter side where there is no flow whose grid could be used."""
_MARGIN = 2
"""Cells around a box in which its mask is looked for: boxes cut masks short and flow is uneven."""
Window: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True, repr=False)
class View:
    """A frame as a grid of cells, and where the content of each cell was in the last frame."""

    image_hw: SizeHW
    x: F32Array
    """float32 (h, w): middles of the cells, pixels of this frame."""
    y: F32Array
    back: F32Array
    """float32 (h, w, 2): x and y in pixels to add to be where the content was in the last frame; 0 where no flow is known."""
    has_flow: bool

    @classmethod
    def of(cls, image_hw: SizeHW, motion: Motion | None) -> View:
        """The grid of the flow, or without flow one of about the same size."""
        if motion is None:
            scale = STILL_GRID_SIDE / min(image_hw)
            rows, columns = (max(1, round(side * scale)) for side in image_hw)
            back = np.zeros((rows, columns, 2), np.float32)
        else:
            rows, columns = motion.backward.shape[:2]
            back = motion.backward * np.array([image_hw[1] / columns, image_hw[0] / rows], np.float32)
        x = (np.arange(columns) + 0.5) * (image_hw[1] / columns)
        y = (np.arange(rows) + 0.5) * (image_hw[0] / rows)
        return cls(image_hw, *np.meshgrid(x.astype(np.float32), y.astype(np.float32)), back, motion is not None)

    @property
    def hw(self) -> SizeHW:
        """Rows and columns of the grid."""
        return self.x.shape[0], self.x.shape[1]

    def window(self, box: F32Array, margin: int = _MARGIN) -> Window:
        """Rows and columns of the cells that a box float32 (4,) in pixels touches, and ``margin`` more on each side; at least one cell."""
        (rows, columns), (height, width) = self.hw, self.image_hw
        x1, y1, x2, y2 = box.tolist()
        left, right = _span(x1 * columns / width - margin, x2 * columns / width + margin, columns)
        top, bottom = _span(y1 * rows / height - margin, y2 * rows / height + margin, rows)
        return slice(top, bottom), slice(left, right)

    @cached_property
    def places(self) -> F32Array:
        """float32 (h * w, 2): x and y of each cell's middle."""
        return np.stack([self.x.ravel(), self.y.ravel()], axis=1)

    def draw(self, masks: Masks, boxes: F32Array) -> F32Array:
        """Which cells belong to each mask of this frame: float32 (N, h * w), 0 or 1."""
        drawn = np.zeros((len(masks), *self.hw), np.float32)
        for i, box in enumerate(boxes):
            window = self.window(box)
            drawn[i][window] = masks.at(i, self.x[window], self.y[window]) > 0.5
        return drawn.reshape(len(masks), self.x.size)

    def drift(self, box: F32Array) -> F32Array:
        """How far the content of a box has moved since the last frame, on average: float32 (2,), x and y in pixels."""
        window = self.window(box, margin=0)
        drift: F32Array = -self.back[window].mean(axis=(0, 1))
        return drift

    def recall(self, mask: Masks, x: F32Array, y: F32Array) -> F32Array:
        """Soft values float32 (h, w) that a mask of the last frame has where the content of points of this frame was then."""
        cv2 = opencv()
        rows, columns = self.hw
        column = x * np.float32(columns / self.image_hw[1]) - np.float32(0.5)
        row = y * np.float32(rows / self.image_hw[0]) - np.float32(0.5)
        back = cv2.remap(self.back, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return mask.at(0, x + back[..., 0], y + back[..., 1])


def _span(low: float, high: float, cells: int) -> tuple[int, int]:
    first = min(max(int(low), 0), cells - 1)
    return first, min(max(int(np.ceil(high)), first + 1), cells)
