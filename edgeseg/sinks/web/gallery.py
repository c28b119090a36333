"""The newest frame, handed from the pipeline's thread to the server's, where it is encoded once for all who look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from edgeseg.sinks.web.picture import facts_of, jpeg_of, limited
from edgeseg.types import Frame, Result

PICTURES_PER_S = 25
"""More are not encoded however fast frames come: nobody would see the difference, and the pipeline needs the time."""
_LOOK_S = 0.02
"""Time between two looks for a new frame while somebody waits. To be woken instead would cost the pipeline a system call each frame."""


@dataclass(frozen=True, repr=False)
class Picture:
    """One encoded frame."""

    number: int
    """Counts what was encoded, from 1."""
    jpeg: bytes
    facts: dict[str, Any]


class Gallery:
    """A slot for the newest frame. `put` belongs to the pipeline's thread, all else to the server's event loop."""

    def __init__(self) -> None:
        self.newest: tuple[Frame, Result] | None = None
        """The newest frame with its result; read on any thread."""
        self.least = 0.0
        """Instances that score less are not shown."""
        self._look: asyncio.Task[None] | None = None
        self._picture: Picture | None = None
        self._made_of: tuple[Result, float] | None = None
        self._next_s = 0.0
        self.viewers = 0
        """How many wait for a picture now."""

    def put(self, frame: Frame, result: Result) -> None:
        """Replace the newest frame: one assignment, which neither encodes nor waits."""
        self.newest = frame, result

    @property
    def encoded(self) -> int:
        """How many pictures were encoded."""
        return 0 if self._picture is None else self._picture.number

    async def after(self, number: int) -> Picture:
        """The newest picture, once it is another than ``number``."""
        self.viewers += 1
        try:
            while (picture := self._fresh(asyncio.get_running_loop().time())) is None or picture.number == number:
                await self._next_look()
        finally:
            self.viewers -= 1
        return picture

    async def _next_look(self) -> None:
        """All viewers wait for the same one; one that leaves does not take it away from the others."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(asyncio.sleep(_LOOK_S))
        await asyncio.shield(self._look)

    def _fresh(self, now_s: float) -> Picture | None:
        """The picture of the newest frame; the one before it while that was encoded too short a time ago."""
        newest = self.newest
        if newest is None or self._is_encoded(newest[1]) or now_s < self._next_s:
            return self._picture
        self._next_s = now_s + 1 / PICTURES_PER_S
        self._made_of = newest[1], self.least
        result = limited(newest[1], self.least)
        self._picture = Picture(self.encoded + 1, jpeg_of(newest[0], result), facts_of(newest[0], result))
        return self._picture

    def _is_encoded(self, result: Result) -> bool:
        return self._made_of is not None and self._made_of[0] is result and self._made_of[1] == self.least
