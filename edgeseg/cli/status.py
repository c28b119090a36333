"""What ``edgeseg run`` tells while it runs: a line for each stream on a terminal, elsewhere an event now and then."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from edgeseg.cli.logs import note
from edgeseg.cli.memory import Tidy
from edgeseg.cli.progress import BAR_INTERVAL_S, PLAIN_INTERVAL_S, bars
from edgeseg.cli.service import notify
from edgeseg.events import Event
from edgeseg.sinks.jsonl import STDOUT
from edgeseg.sources import Source
from edgeseg.types import Result

See = Callable[["StreamStatus", Result], None]
"""Called after every frame of every stream."""
SERVICE_INTERVAL_S = 1.0
SILENT_S = 2.0
"""Without a frame for so long, the line says so."""
_RATE_FRAMES = 60
"""Frames that the rate rests on."""


class StreamStatus:
    """How a stream is doing. Cheap to tell of a frame; its text, made anew each time, may be asked for by another thread.

    Args:
        name: what messages call the stream.
        source: asked for what happened to it.
        max_frames: after which the stream is left; None for its end.
        clock: seconds of the monotonic clock.
    """

    def __init__(self, name: str, source: Source, max_frames: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.frames = name, 0
        self.total = min((count for count in (source.info.frame_count, max_frames) if count is not None), default=None)
        self._source, self._clock = source, clock
        self._begin_s = clock()
        self._times_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._last: Result | None = None
        self._has_ended = False

    def end(self) -> None:
        """No frame comes any more."""
        self._has_ended = True

    def see(self, result: Result) -> None:
        """Take a frame's result."""
        self.frames += 1
        self._times_s.append(self._clock())
        self._last = result

    def __str__(self) -> str:
        last, now_s = self._last, self._clock()
        if last is None:
            return "ended without a frame" if self._has_ended else f"no frame yet{', connecting' * self._source.is_lost}"
        if self._has_ended:
            return f"ended after frame {last.frame_index}"
        counts, found = self._source.counts, _found(last)
        parts = [
            *(() if self.total else (f"frame {last.frame_index}",)),
            f"{self._rate(now_s):.1f} frames/s",
            f"{last.step.value:9}",
            f"age {last.age_s * 1e3:.0f} ms",
            f"{found} instance{'s' * (found != 1)}",
        ]
        if counts.dropped:
            parts.append(f"{counts.dropped} dropped")
        if counts.reconnects:
            parts.append(f"connected anew {counts.reconnects}x")
        if (silent_s := now_s - self._times_s[-1]) >= SILENT_S and self.frames != self.total:
            parts.append(f"no frame for {silent_s:.0f} s{', connecting anew' * self._source.is_lost}")
        return "  ".join(parts)

    def event(self) -> Event:
        """The same as an event."""
        of = f"/{self.total}" if self.total else ""
        lasted_s = self._clock() - self._begin_s
        return Event("run.status", f"{self.name}: {self.frames}{of} frames after {lasted_s:.0f} s  {self}", **self._fields(lasted_s))

    def _fields(self, lasted_s: float) -> dict[str, Any]:
        last, counts = self._last, self._source.counts
        fields = {"stream": self.name, "frames": self.frames, "total": self.total, "lasted_s": round(lasted_s, 1)}
        if last is None:
            return fields
        return {
            **fields,
            "frame": last.frame_index,
            "frames_per_s": round(self._rate(self._clock()), 2),
            "step": last.step.value,
            "age_s": round(last.age_s, 4),
            "instances": _found(last),
            "dropped": counts.dropped,
            "reconnects": counts.reconnects,
        }

    def _rate(self, now_s: float) -> float:
        """Frames a second lately; less and less while none comes."""
        passed_s = now_s - self._times_s[0]
        return (len(self._times_s) - 1) / passed_s if passed_s > 0 else 0.0


def _found(result: Result) -> int:
    return 0 if result.instances is None else len(result.instances)


@contextmanager
def status(streams: Sequence[StreamStatus], jsonl: str | None, clock: Callable[[], float] = time.monotonic) -> Iterator[See]:
    """Tell of streams while the block runs, and the service manager that it does.

    Args:
        streams: what is told of.
        jsonl: where lines of results go; on a terminal they take the place of what is shown.
        clock: seconds of the monotonic clock.

    Yields:
        What to call after each frame. It draws at most four times a second.
    """
    lines_are_shown = jsonl == STDOUT and sys.stdout.isatty()
    shown = None if lines_are_shown else bars(counted=any(stream.total for stream in streams))
    notify("READY=1")
    try:
        with nullcontext(_events(streams, clock)) if shown is None else _bars(shown, streams, clock) as show, Tidy(clock) as tidy:
            yield _served(show, tidy, clock)
    finally:
        notify("STOPPING=1")


def _served(show: See, tidy: Tidy, clock: Callable[[], float]) -> See:
    """Tells the service manager of frames as well, and keeps the memory flat."""
    due = _Now(SERVICE_INTERVAL_S, clock)

    def see(stream: StreamStatus, result: Result) -> None:
        stream.see(result)
        show(stream, result)
        tidy()
        if due():
            notify(f"WATCHDOG=1\nSTATUS={stream.name}: {stream}")

    return see


def _events(streams: Sequence[StreamStatus], clock: Callable[[], float]) -> See:
    due = {stream: _Now(PLAIN_INTERVAL_S, clock) for stream in streams}

    def see(stream: StreamStatus, _result: Result) -> None:
        if due[stream]():
            note(stream.event())

    return see


@contextmanager
def _bars(shown: Any, streams: Sequence[StreamStatus], clock: Callable[[], float]) -> Iterator[See]:
    due = _Now(BAR_INTERVAL_S, clock)
    with _lenient(shown):
        # The display asks for the text of a stream, its detail, each time that it is drawn.
        tasks = {stream: shown.add_task(stream.name, total=stream.total, detail=stream) for stream in streams}

        def draw() -> None:
            for stream, task in tasks.items():
                shown.update(task, completed=stream.frames)

        def see(_stream: StreamStatus, _result: Result) -> None:
            if due():
                draw()

        try:
            yield see
        finally:
            draw()


@contextmanager
def _lenient(shown: Any) -> Iterator[None]:
    """Shows it in the block. A terminal that has gone meanwhile is no error: what ended the block counts."""
    shown.__enter__()
    try:
        yield
    finally:
        with suppress(OSError):
            shown.__exit__(None, None, None)


class _Now:
    """True at most once in so many seconds, not at once."""

    def __init__(self, interval_s: float, clock: Callable[[], float]) -> None:
        self._interval_s, self._clock = interval_s, clock
        self._last_s = clock()

    def __call__(self) -> bool:
        now_s = self._clock()
        if now_s - self._last_s < self._interval_s:
            return False
        self._last_s = now_s
        return True
