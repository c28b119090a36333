"""What is remembered of each track, and where each is expected in the next frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.masks import SoftMask, SoftMasks, grid_mask
from edgeseg.track.grid import View, Window
from edgeseg.types import F32Array, Masks

_VELOCITY_MEMORY = np.float32(0.6)
_LOOK_MEMORY = np.float32(0.8)
_DAMPING = np.float32(0.95)
"""What is left of a hidden object's velocity from one frame to the next."""


@dataclass
class Track:
    """One object through time. Boxes and masks are those of the last frame."""

    track_id: int
    class_id: int
    score: float
    box: F32Array
    """float32 (4,)."""
    mask: Masks | None
    """One mask; None while the object is out of sight."""
    look: F32Array
    """Square roots of its colour histogram, averaged over time."""
    velocity: F32Array
    """float32 (2,): pixels a frame, averaged over time."""
    hits: int = 1
    """In how many graph results it was found."""
    unseen: int = 0
    """Frames since a graph found it."""

    def see(self, box: F32Array, mask: Masks) -> None:
        """Take its place in a frame."""
        moved = ((box[:2] + box[2:]) - (self.box[:2] + self.box[2:])) / 2
        self.velocity = (_VELOCITY_MEMORY * self.velocity + (1 - _VELOCITY_MEMORY) * moved).astype(np.float32)
        self.box, self.mask = box, mask

    def confirm(self, score: float, look: F32Array) -> None:
        """A graph found it."""
        self.score, self.hits, self.unseen = score, self.hits + 1, 0
        if look.any():
            blend = _LOOK_MEMORY * self.look + (1 - _LOOK_MEMORY) * look
            self.look = (blend / max(float(np.linalg.norm(blend)), 1e-6)).astype(np.float32)

    def lose(self) -> None:
        """It is out of sight: its place is guessed from now on."""
        self.mask = None

    def drift(self) -> None:
        """Move on unseen for one frame."""
        self.box = self.box + np.tile(self.velocity, 2)
        self.velocity = self.velocity * _DAMPING


@dataclass(frozen=True, repr=False)
class Expected:
    """Where a track should be in this frame."""

    box: F32Array
    """float32 (4,)."""
    window: Window | None
    """The part of the grid that ``values`` covers; None for a track out of sight."""
    values: F32Array | None
    """float32 (h, w): its mask, moved to this frame."""

    def mask(self, view: View) -> SoftMasks:
        """The moved mask as a mask of this frame. Only where there is one."""
        if self.window is None or self.values is None:
            raise ValueError("a track out of sight has no mask")
        rows, columns = self.window
        soft: SoftMask = grid_mask(self.values, (columns.start, rows.start), view.hw, view.image_hw)
        return SoftMasks((soft,), view.image_hw)


def expect(track: Track, view: View) -> Expected:
    """A track's box and mask, moved along the flow, or without flow by its velocity."""
    if track.mask is None:
        return Expected(track.box + np.tile(track.velocity, 2), None, None)
    step = view.drift(track.box) if view.has_flow else track.velocity
    box = track.box + np.tile(step, 2)
    window = view.window(box)
    x, y = view.x[window], view.y[window]
    if view.has_flow:
        values = track.mask.at(0, x + view.back[window][..., 0], y + view.back[window][..., 1])
    else:
        values = track.mask.at(0, x - step[0], y - step[1])
    return Expected(box, window, values)


def draw(expected: list[Expected], view: View) -> F32Array:
    """The cells of each expected mask: float32 (T, h * w), 0 or 1."""
    drawn = np.zeros((len(expected), *view.hw), np.float32)
    for place, one in zip(drawn, expected, strict=True):
        if one.window is not None and one.values is not None:
            place[one.window] = one.values > 0.5
    return drawn.reshape(len(expected), view.x.size)
