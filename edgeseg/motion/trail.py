"""The way from the newest frame back to an earlier one, its anchor, across all frames between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from edgeseg.motion.align import Alignment
from edgeseg.motion.base import Motion
from edgeseg.motion.picture import Picture
from edgeseg.types import BoolArray, F32Array, Instances

Made = TypeVar("Made")
WAITING_MAX = 32
"""Motions kept until instances are moved along them; of more, neighbours are joined. Small: a tenth of a megabyte each."""


@dataclass
class _Follower:
    """Instances, and the motions that they have not been moved along yet."""

    alignment: Alignment
    waiting: list[Motion]


class Trail:
    """Motions composed since the anchor. An empty trail means the anchor itself; it has no flow.

    Its size is bounded, however long it gets. What only some users need is computed when they ask.
    """

    def __init__(self) -> None:
        self._count = 0
        self._lost = False
        self._anchor: Picture | None = None
        self._whole: Motion | None = None
        self._unjoined: list[Motion] = []
        self._waiting: list[Motion] = []
        self._made: list[tuple[object, object]] = []

    def __len__(self) -> int:
        """Frames since the anchor."""
        return self._count

    def __repr__(self) -> str:
        return f"Trail(frames={self._count})"

    def add(self, motion: Motion) -> None:
        """Go one frame on. Frames of another size cannot follow: begin another trail there.

        Raises:
            ValueError: the motion is between frames of another size.
        """
        self._anchor = self._anchor or motion.older
        if self._anchor.image_hw != motion.image_hw:
            raise ValueError(f"a trail through frames of {self._anchor.image_hw} cannot go on with {motion.image_hw}")
        self._count += 1
        self._unjoined.append(motion)
        if len(self._unjoined) > WAITING_MAX:
            self._join()
        self._lost = (self._lost or motion.cut) and self.whole.cut
        followers = [made for _, made in self._made if isinstance(made, _Follower)]
        # Whoever is followed from now on cannot be led through frames that are no longer kept.
        self._waiting = [] if followers else _extended(self._waiting, motion)
        for follower in followers:
            follower.waiting = _extended(follower.waiting, motion)

    @property
    def whole(self) -> Motion:
        """From the anchor to the newest frame.

        Raises:
            ValueError: the trail is empty.
        """
        self._join()
        if self._whole is None:
            raise ValueError("an empty trail has no motion")
        return self._whole

    def _join(self) -> None:
        for motion in self._unjoined:
            self._whole = motion if self._whole is None else self._whole.then(motion)
        self._unjoined = []

    @property
    def backward(self) -> F32Array:
        """float32 (h, w, 2): for each cell of the newest frame the displacement, x and y in cells, to its place in the anchor."""
        return self.whole.backward

    @property
    def reliable(self) -> BoolArray:
        """bool (h, w): cells of the newest frame that the anchor shows too: the way there along ``backward``, and back, returns."""
        return self.whole.consistent

    @property
    def lost(self) -> bool:
        """Whether the newest frame shows another scene than the anchor: there was a cut, and no return since."""
        return self._lost

    @property
    def shift(self) -> float:
        """Mean displacement since the anchor over the shorter side; 0 for the anchor itself."""
        return self.whole.shift if self._count else 0.0

    @property
    def unexplained(self) -> float:
        """Part of the newest picture, 0..1, that the anchor does not show where the flow leads; 0 for the anchor itself."""
        return self.whole.unexplained if self._count else 0.0

    def align(self, found: Instances) -> Alignment:
        """Where the anchor's instances are in the newest frame.

        They are followed frame by frame from where this was last asked for them, so asking in every frame costs one step each.
        """
        self.catch_up(found, WAITING_MAX)
        return self.once(found, lambda: self._follower(found)).alignment

    def catch_up(self, found: Instances, steps: int) -> bool:
        """Do a part of what `align` does, at most ``steps`` frames of it; whether the newest frame is reached."""
        follower = self.once(found, lambda: self._follower(found))
        for motion in follower.waiting[:steps]:
            follower.alignment.advance(motion)
        del follower.waiting[:steps]
        return not follower.waiting

    def _follower(self, found: Instances) -> _Follower:
        if self._anchor is None:
            raise ValueError("an empty trail has no motion to follow instances along")
        return _Follower(Alignment(found, self._anchor), list(self._waiting) or [self.whole])

    def once(self, source: object, make: Callable[[], Made]) -> Made:
        """What ``make()`` gave when this was first asked for the same ``source``, something found in the anchor."""
        for kept, made in self._made:
            if kept is source:
                return cast(Made, made)
        made = make()
        self._made.append((source, made))
        return made


def _extended(motions: list[Motion], motion: Motion) -> list[Motion]:
    """Motions with one more; if they become too many, neighbours are joined."""
    motions = [*motions, motion]
    if len(motions) <= WAITING_MAX:
        return motions
    pairs = zip(motions[::2], motions[1::2], strict=False)
    return [first.then(second) for first, second in pairs] + motions[len(motions) & ~1 :]
