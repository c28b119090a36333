"""How the picture moved from one frame to a later one, on a reduced grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from edgeseg.motion.flows import composed, explained, mean_length, returns
from edgeseg.motion.picture import Picture
from edgeseg.types import BoolArray, F32Array, SizeHW, U8Array

CUT = 0.6
"""Unexplained part of a picture from which on it shows another scene than the one before."""


class Flow(Protocol):
    """Dense optical flow between two grey pictures."""

    name: str

    def __call__(self, source: U8Array, target: U8Array) -> F32Array:
        """Where the surface at each pixel of ``source`` lies in ``target``.

        Args:
            source, target: uint8 (h, w), grey.

        Returns:
            float32 (h, w, 2): displacement as x, y in pixels of these pictures.
        """
        ...


@dataclass(frozen=True, repr=False)
class Motion:
    """The way from a frame back to an earlier one. Cells are the pixels of `Picture.grid`."""

    backward: F32Array
    """float32 (h, w, 2): for each cell of the newer frame the displacement, x and y in cells, to its place in the older one."""
    newer: Picture
    older: Picture
    flow: Flow
    """What measured ``backward``; asked for the other direction when that is needed."""
    frames: int = 1
    """From the older frame to the newer one."""

    def __post_init__(self) -> None:
        hw = self.newer.grid.shape
        if self.newer.image_hw != self.older.image_hw or self.backward.shape != (*hw, 2):
            raise ValueError(
                f"a motion needs two frames of one size and a flow on their grid {hw}, "
                f"got {self.newer.image_hw}, {self.older.image_hw} and {self.backward.shape}"
            )

    def __repr__(self) -> str:
        return f"Motion(grid={self.newer.grid.shape}, image_hw={self.image_hw})"

    @property
    def image_hw(self) -> SizeHW:
        """(height, width) of the frames in pixels."""
        return self.newer.image_hw

    @cached_property
    def consistent(self) -> BoolArray:
        """bool (h, w): cells from which the flow to the older frame and back returns. Not so for what was uncovered or came in.

        It costs a second flow, measured when this is first asked for.
        """
        return returns(self.backward, self.flow(self.older.grid, self.newer.grid))

    @cached_property
    def shift(self) -> float:
        """Mean displacement over the shorter side."""
        rows, columns = self.newer.grid.shape
        return mean_length(self.backward) / float(min(rows, columns))

    @cached_property
    def unexplained(self) -> float:
        """Part of the newer picture, 0..1, that the older one does not show where the flow leads.

        Judged by brightness, because that is nearly free, is 0 for a picture that repeats, and sees what forward-backward
        consistency does not: at a scene cut a flow may well return, but it leads to something else.
        """
        return 1 - explained(self.newer.grid, self.older.grid, self.backward)

    @property
    def cut(self) -> bool:
        """Whether the newer frame shows something else altogether: another scene, or nothing."""
        return self.unexplained >= CUT

    def then(self, later: Motion) -> Motion:
        """This motion and the one that follows it, as one."""
        return Motion(composed(later.backward, self.backward), later.newer, self.older, later.flow, self.frames + later.frames)
