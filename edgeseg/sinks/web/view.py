"""The addresses of one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from edgeseg.errors import UsageError
from edgeseg.sinks.web.answers import Answers
from edgeseg.sinks.web.show import Show

_BOUNDARY = "frame"
_AT_ONCE_S = 0.1
"""Patience with a stream that is over: enough for its last picture."""
_WORKING = ("live", "waiting", "silent")

Handler = Callable[[Any], Awaitable[Any]]


class View:
    """``frame?after=N`` waits for the picture after number N and answers with its facts and the JPEG, with 204 where none came, or with
    503 and what is wrong; ``stream.mjpg`` is for other programs. ``POST score?least=X`` and ``POST record?on=1`` change what is shown.
    """

    def __init__(self, answers: Answers, show: Show, patience_s: float) -> None:
        self._answers, self._show, self._patience_s = answers, show, patience_s
        self.gets: dict[str, Handler] = {"frame": self._frame, "stream.mjpg": self._stream}
        self.posts: dict[str, Handler] = {"score": self._score, "record": self._record}

    async def _frame(self, request: Any) -> Any:
        number = number_after(request)
        patience_s = _AT_ONCE_S if self._show.condition().is_over else self._patience_s
        try:
            picture = await asyncio.wait_for(self._show.gallery.after(number), patience_s)
        except asyncio.TimeoutError:
            condition = self._show.condition()
            return self._answers.nothing() if condition.kind in _WORKING else self._answers.text(condition.says, 503)
        return self._answers.pictures(self._show.facts(picture), [picture.jpeg])

    async def _stream(self, _request: Any) -> Any:
        return self._answers.stream(self._parts(), f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    async def _parts(self) -> AsyncIterator[bytes]:
        """Pictures as parts of a response. The next is chosen when the last has left: a slow viewer misses some, none is late."""
        number = 0
        while True:
            try:
                picture = await asyncio.wait_for(self._show.gallery.after(number), self._patience_s)
            except asyncio.TimeoutError:
                if self._show.condition().is_over:
                    return
                continue
            number = picture.number
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            yield head.encode() + picture.jpeg + b"\r\n"

    async def _score(self, request: Any) -> Any:
        try:
            least = float(request.query_params.get("least", ""))
        except ValueError:
            least = -1.0
        if not 0 <= least <= 1:
            raise UsageError("least is a score from 0 to 1")
        self._show.gallery.least = least
        return self._answers.text("ok")

    async def _record(self, request: Any) -> Any:
        on = request.query_params.get("on")
        if on not in ("0", "1"):
            raise UsageError("on is 1 to start a recording and 0 to stop it")
        self._show.record(on == "1")
        return self._answers.text("ok")


def number_after(request: Any) -> int:
    """The ``after`` of a request, 0 where it has none.

    Raises:
        UsageError: it is no number.
    """
    number = request.query_params.get("after", "0")
    if not number.isascii() or not number.isdecimal():
        raise UsageError("after is the number of a picture, such as 0")
    return int(number)
