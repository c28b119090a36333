"""How the picture moved between two consecutive frames, on a reduced grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from edgeseg.motion.sampling import explained, returns
from edgeseg.types import BoolArray, F32Array, SizeHW, U8Array


class Flow(Protocol):
    """Dense optical flow between two grey pictures."""

    name: str

    def __call__(self, source: U8Array, target: U8Array, guess: F32Array | None = None) -> F32Array:
        """Where the surface at each pixel of ``source`` lies in ``target``.

        Args:
            source, target: uint8 (h, w), grey.
            guess: float32 (h, w, 2), a flow to begin with; a method that cannot use one may ignore it.

        Returns:
            float32 (h, w, 2): displacement as x, y in pixels of these pictures.
        """
        ...


@dataclass(frozen=True, repr=False)
class Motion:
    """The way from a frame back to the one before. Cells are the pixels of the two reduced pictures."""

    backward: F32Array
    """float32 (h, w, 2): for each cell of the newer frame the displacement, x and y in cells, to its place in the older one."""
    newer: U8Array
    """uint8 (h, w): the newer frame, grey and reduced."""
    older: U8Array
    """uint8 (h, w): the older frame."""
    image_hw: SizeHW
    """(height, width) of the frames in pixels."""
    flow: Flow
    """What found ``backward``; asked for the other direction when that is needed."""

    def __post_init__(self) -> None:
        hw = self.newer.shape
        if self.newer.ndim != 2 or self.older.shape != hw or self.backward.shape != (*hw, 2):
            raise ValueError(
                f"two pictures (h, w) and a flow (h, w, 2) are needed, got {self.newer.shape}, {self.older.shape} and {self.backward.shape}"
            )

    def __repr__(self) -> str:
        return f"Motion(grid={self.newer.shape}, image_hw={self.image_hw})"

    @cached_property
    def consistent(self) -> BoolArray:
        """bool (h, w): cells from which the flow to the older frame and back returns. Not so for what was uncovered or came in.

        It costs a second flow, which is computed when this is first asked for.
        """
        return returns(self.backward, self.flow(self.older, self.newer))

    @property
    def shift(self) -> float:
        """Mean displacement over the shorter side."""
        return mean_shift(self.backward)

    @cached_property
    def unexplained(self) -> float:
        """Part of the newer picture, 0..1, that the older one does not show where the flow says."""
        return float(1 - np.mean(explained(self.newer, self.older, self.backward)))


def mean_shift(backward: F32Array) -> float:
    """Mean length of a displacement float32 (h, w, 2) over the shorter side of its grid."""
    return float(np.mean(np.hypot(backward[..., 0], backward[..., 1])) / min(backward.shape[:2]))
