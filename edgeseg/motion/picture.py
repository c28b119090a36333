"""The small grey pictures on which motion is measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import SizeHW, U8Array

LONGER_SIDE = 320
"""Of the finest level, in pixels. Smaller frames keep their size."""
SHORTER_SIDE_MIN = 64
"""Pixels that even the narrowest frame gets along its shorter side: optical flow needs some room."""
LEVELS = 4
GRID = 2
"""The level on which flow is measured; its pixels are the cells of `Motion`."""


@dataclass(frozen=True, repr=False)
class Picture:
    """One frame as grey pictures, each half as large as the one before."""

    levels: tuple[U8Array, ...]
    """uint8 (h, w) each."""
    image_hw: SizeHW
    """(height, width) of the frame in pixels."""

    def __post_init__(self) -> None:
        if len(self.levels) != LEVELS or any(level.ndim != 2 for level in self.levels):
            raise ValueError(f"{LEVELS} grey pictures are needed, got shapes {[level.shape for level in self.levels]}")

    def __repr__(self) -> str:
        return f"Picture(grid={self.grid.shape}, image_hw={self.image_hw})"

    @classmethod
    def of(cls, pixels: U8Array) -> Picture:
        """From a BGR frame uint8 (H, W, 3). A quarter of the pixels of a 720p frame are looked at, fewer of larger ones."""
        cv2 = opencv()
        image_hw = pixels.shape[0], pixels.shape[1]
        scale = min(1.0, LONGER_SIDE / max(image_hw))
        rows, columns = (max(round(side * scale), SHORTER_SIDE_MIN) for side in image_hw)
        if 2 * columns < image_hw[1]:
            # Averaging all pixels of a large frame would cost three times as much.
            pixels = cv2.resize(pixels, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
        levels = [cv2.cvtColor(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)]
        while len(levels) < LEVELS:
            rows, columns = (rows + 1) // 2, (columns + 1) // 2
            levels.append(cv2.resize(levels[-1], (columns, rows), interpolation=cv2.INTER_AREA))
        return cls(tuple(levels), image_hw)

    @property
    def grid(self) -> U8Array:
        """uint8 (h, w): the level on which flow is measured."""
        return self.levels[GRID]

    @cached_property
    def stacked(self) -> U8Array:
        """uint8 (sum of h, w): all levels under each other, so that one look-up reads from several."""
        return stack(self.levels)


def stack(levels: tuple[U8Array, ...]) -> U8Array:
    """Pictures of one kind under each other, aligned at the left; zero where there is none."""
    rows = [level.shape[0] for level in levels]
    stacked = np.zeros((sum(rows), levels[0].shape[1]), levels[0].dtype)
    for level, end in zip(levels, np.cumsum(rows).tolist(), strict=True):
        stacked[end - level.shape[0] : end, : level.shape[1]] = level
    return stacked
