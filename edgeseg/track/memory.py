"""What is remembered of each track, and where each is expected in the next frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.track.affine import back, moved_box
from edgeseg.track.grid import Grid, Window
from edgeseg.track.matching import extents_of
from edgeseg.types import BoolArray, F32Array, Instances, Masks

_VELOCITY_MEMORY = 0.6
"""Weight of the past in an object's velocity, from its second step on."""
_LOOK_MEMORY = np.float32(0.8)
"""Weight of the past in its looks."""
_EXTENT_MEMORY = 0.99
"""What is left of its size per frame in which less of it is seen."""
_SEEN_WHOLE = 0.95
"""Part of its extent from which an object counts as wholly seen."""
_DAMPING = np.float32(0.95)
"""What is left of a hidden object's velocity from one frame to the next."""


@dataclass
class Track:
    """One object through time. Boxes and masks are those of the last frame."""

    track_id: int
    class_id: int
    score: float
    """As last shown."""
    box: F32Array
    """float32 (4,)."""
    mask: Masks | None
    """One mask; None while the object is out of sight."""
    look: F32Array
    """Square roots of its colour histogram, averaged over time."""
    velocity: F32Array
    """float32 (2,): pixels a frame, averaged over time."""
    extent: float
    """How large it is, pixels: square root of its box's area when most of it was seen lately."""
    mask_quality: float = 1.0
    """Its mask score over its score, when it was last found; 1 from models that do not score masks."""
    hits: int = 1
    """In how many graph results it was found."""
    unseen: int = 0
    """Frames since a graph found it."""

    @classmethod
    def begin(cls, track_id: int, found: Instances, n: int, look: F32Array) -> Track:
        """The track that instance ``n`` begins."""
        mask = found.masks.select(np.array([n]))
        box, still = found.boxes[n], np.zeros(2, np.float32)
        return cls(track_id, int(found.classes[n]), float(found.scores[n]), box, mask, look, still, float(extents_of(box[None])[0]))

    def see(self, box: F32Array, mask: Masks) -> None:
        """Take its place in a frame: a box float32 (4,) and one mask."""
        extent = float(extents_of(box[None])[0])
        # The middle of a box moves otherwise than its object while that gets hidden or comes into the picture.
        if extent > _SEEN_WHOLE * self.extent:
            moved = (box[:2] + box[2:] - self.box[:2] - self.box[2:]) / 2
            memory = _VELOCITY_MEMORY if self.hits > 1 else 0.0
            self.velocity = (memory * self.velocity + (1 - memory) * moved).astype(np.float32)
        self.extent = max(extent, _EXTENT_MEMORY * self.extent)
        self.box, self.mask = box, mask

    def confirm(self, found: Instances, n: int, look: F32Array) -> None:
        """A graph found it: it is instance ``n``."""
        self.see(found.boxes[n], found.masks.select(np.array([n])))
        self.score, self.hits, self.unseen = float(found.scores[n]), self.hits + 1, 0
        if found.mask_scores is not None:
            self.mask_quality = float(found.mask_scores[n]) / max(self.score, 1e-6)
        if look.any():
            blend = _LOOK_MEMORY * self.look + (1 - _LOOK_MEMORY) * look
            self.look = (blend / np.linalg.norm(blend)).astype(np.float32)

    def hide(self) -> None:
        """It is out of sight; its place is guessed."""
        self.mask = None
        self.box = self.box + np.tile(self.velocity, 2)
        self.velocity = self.velocity * _DAMPING


@dataclass(frozen=True, repr=False)
class Expected:
    """Where a track should be in this frame."""

    step: F32Array
    """float32 (2, 3): the way back to the last frame."""
    box: F32Array
    """float32 (4,)."""
    window: Window
    """The part of the grid that ``inside`` covers."""
    inside: BoolArray | None
    """bool (h, w): its mask; None for a track out of sight."""


def expect(track: Track, step: F32Array, grid: Grid) -> Expected:
    """A track's box and mask after a step."""
    box = moved_box(step, track.box)
    window = grid.window(box)
    if track.mask is None:
        return Expected(step, box, window, None)
    values = track.mask.at(0, *back(step, grid.x[window], grid.y[window]))
    return Expected(step, box, window, np.asarray(values > 0.5))


def draw(expected: list[Expected], grid: Grid) -> F32Array:
    """The cells of each expected mask: float32 (T, h * w), 0 or 1."""
    drawn = np.zeros((len(expected), *grid.hw), np.float32)
    for place, one in zip(drawn, expected, strict=True):
        if one.inside is not None:
            place[one.window] = one.inside
    return drawn.reshape(len(expected), grid.x.size)
