"""The newest frame, handed from the pipeline's thread to the server's, where it is encoded once for all who look."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from edgeseg.sinks.web.picture import facts_of, jpeg_of, limited
from edgeseg.types import Frame, Result

PICTURES_PER_S = 25
"""More are not encoded however fast frames come: nobody would see the difference, and the pipeline needs the time."""


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
        self._newest: tuple[Frame, Result] | None = None
        self._least = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._picture: Picture | None = None
        self._made_of: tuple[Result, float] | None = None
        self._next_s = 0.0
        self.viewers = 0
        """How many wait for a picture now."""

    def put(self, frame: Frame, result: Result) -> None:
        """Replace the newest frame. Neither encodes nor waits."""
        self._newest = frame, result
        # A viewer counts itself before it looks: it sees this frame, or is counted here and woken.
        if self.viewers and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server has just ended
                self._loop.call_soon_threadsafe(self._wake)

    @property
    def least(self) -> float:
        """Instances that score less are not shown."""
        return self._least

    @least.setter
    def least(self, score: float) -> None:
        self._least = score
        self._wake()

    @property
    def encoded(self) -> int:
        """How many pictures were encoded."""
        return 0 if self._picture is None else self._picture.number

    async def after(self, number: int) -> Picture:
        """The newest picture, once it is another than ``number``."""
        self._loop = asyncio.get_running_loop()
        self.viewers += 1
        try:
            while (picture := self._fresh(self._loop)) is None or picture.number == number:
                await self._changed.wait()
        finally:
            self.viewers -= 1
        return picture

    def _fresh(self, loop: asyncio.AbstractEventLoop) -> Picture | None:
        """The picture of the newest frame; the one before it while that was encoded too short a time ago."""
        newest = self._newest
        if newest is None or self._is_encoded(newest[1]):
            return self._picture
        if loop.time() < self._next_s:
            loop.call_at(self._next_s, self._wake)
            return self._picture
        self._next_s = loop.time() + 1 / PICTURES_PER_S
        self._made_of = newest[1], self._least
        result = limited(newest[1], self._least)
        self._picture = Picture(self.encoded + 1, jpeg_of(newest[0], result), facts_of(newest[0], result))
        return self._picture

    def _is_encoded(self, result: Result) -> bool:
        return self._made_of is not None and self._made_of[0] is result and self._made_of[1] == self._least

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
