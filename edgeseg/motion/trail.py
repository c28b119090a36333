"""The way from the newest frame back to an earlier one, its anchor, across all frames between."""

from __future__ import annotations

import numpy as np

from edgeseg.motion.base import Motion, mean_shift
from edgeseg.motion.sampling import composed, explained, returns
from edgeseg.types import BoolArray, F32Array, SizeHW, U8Array


class Trail:
    """Motions composed since the anchor. An empty trail means the anchor itself; it has no grid.

    It keeps the anchor's small picture, the last motion and one flow, however long it gets. What only some users need
    is computed when they ask.
    """

    def __init__(self) -> None:
        self._count = 0
        self._anchor: U8Array | None = None
        self._newest: Motion | None = None
        self._backward: F32Array | None = None
        self._reliable: BoolArray | None = None
        self._unexplained: float | None = None

    def __len__(self) -> int:
        """Frames since the anchor."""
        return self._count

    def __repr__(self) -> str:
        return f"Trail(frames={self._count})"

    def add(self, motion: Motion) -> None:
        """Go one frame on. A picture of another size cannot follow: begin another trail there.

        Raises:
            ValueError: the motion is on another grid than those before.
        """
        if self._backward is None:
            self._anchor, self._backward = motion.older, motion.backward
        elif self._backward.shape != motion.backward.shape:
            raise ValueError(f"a trail on a grid of {self._backward.shape[:2]} cells cannot go on with one of {motion.backward.shape[:2]}")
        else:
            self._backward = composed(motion.backward, self._backward)
        self._newest = motion
        self._count += 1
        self._reliable = self._unexplained = None

    @property
    def image_hw(self) -> SizeHW:
        """(height, width) of the frames in pixels."""
        return self._last.image_hw

    @property
    def backward(self) -> F32Array:
        """float32 (h, w, 2): for each cell of the newest frame the displacement, x and y in cells, to its place in the anchor."""
        if self._backward is None:
            raise ValueError("an empty trail has no flow")
        return self._backward

    @property
    def reliable(self) -> BoolArray:
        """bool (h, w): cells of the newest frame that the anchor shows too, at the place that ``backward`` says."""
        if self._reliable is None:
            last = self._last
            self._reliable = returns(self.backward, last.flow(self._older, last.newer))
        return self._reliable

    @property
    def shift(self) -> float:
        """Mean displacement since the anchor over the shorter side; 0 for the anchor itself."""
        return 0.0 if self._backward is None else mean_shift(self._backward)

    @property
    def unexplained(self) -> float:
        """Part of the newest picture, 0..1, that the anchor does not show where the flow says."""
        if self._anchor is None:
            return 0.0
        if self._unexplained is None:
            self._unexplained = float(1 - np.mean(explained(self._last.newer, self._anchor, self.backward)))
        return self._unexplained

    @property
    def _older(self) -> U8Array:
        if self._anchor is None:
            raise ValueError("an empty trail has no motion")
        return self._anchor

    @property
    def _last(self) -> Motion:
        if self._newest is None:
            raise ValueError("an empty trail has no motion")
        return self._newest
