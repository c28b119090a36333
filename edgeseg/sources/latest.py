"""Frames of a source that is read on a thread of its own: the newest one, or each in its turn."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace

from edgeseg.errors import SourceError
from edgeseg.sources.base import Source, SourceCounts
from edgeseg.types import Frame

CLOSE_TIMEOUT_S = 15.0
"""How long closing waits for a device that hangs. After that the thread frees it if it ever comes back, and does not keep the process."""
SIGNAL_S = 0.5
"""Python misses a signal that comes just when a wait begins until that wait ends, so none lasts longer than this."""


def no_frame(name: str, limit_s: float) -> SourceError:
    """What to raise where a decoder hangs."""
    return SourceError(f"{name} gave no frame for {limit_s:g} s. Is the file damaged, or the disk that it is on gone?")


class Latest(Source):
    """Reads a source on a thread of its own and holds its newest frame; a newer one replaces one that nobody took.

    The thread starts at once, so that nothing is old by the time a model is loaded. Frames are numbered from the first that is taken;
    those that were replaced since leave gaps. What ends the source or goes wrong in it reaches the reader after the last frame.

    Args:
        source: closed by the thread, on every path.
        limit_s: seconds without a frame after which reading is a SourceError, for decoders that may hang; none for live sources, which
            watch over themselves.
    """

    def __init__(self, source: Source, limit_s: float = math.inf) -> None:
        self.info = source.info
        self._limit_s = limit_s
        self._source = source
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._ended = self._stopping = False
        self._error: BaseException | None = None
        self._dropped = 0
        self._thread = threading.Thread(target=self._read, name="edgeseg-latest", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> SourceCounts:
        return replace(self._source.counts, dropped=self._dropped)

    @property
    def is_lost(self) -> bool:
        return self._source.is_lost

    @property
    def ready(self) -> bool:
        return self._newest is not None or self._ended

    def __iter__(self) -> Iterator[Frame]:
        first = self._take()
        frame, before = first, -1
        while first is not None and frame is not None:
            index = frame.index - first.index
            self._dropped += index - before - 1
            before = index
            yield replace(frame, index=index, time_s=frame.time_s - first.time_s)
            frame = self._take()

    def interrupt(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._source.interrupt()

    def close(self) -> None:
        self.interrupt()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _take(self) -> Frame | None:
        """The newest frame as soon as there is one; None after the last."""
        with self._changed:
            waited_s, step_s = 0.0, min(SIGNAL_S, self._limit_s)
            while not self._changed.wait_for(lambda: self.ready, step_s):
                waited_s += step_s
                if waited_s >= self._limit_s:
                    raise no_frame(self.info.name, self._limit_s)
            frame, self._newest = self._newest, None
            self._changed.notify()
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def _hold(self, frame: Frame) -> None:
        """Have it taken next, holding the lock."""
        self._newest = frame

    def _read(self) -> None:
        """What the thread does."""
        try:
            with self._source as frames:
                for frame in frames:
                    if self._stopping:
                        break
                    with self._changed:
                        self._hold(frame)
                        self._changed.notify()
        except BaseException as error:  # noqa: BLE001  it is raised where the frames are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()


class InTurn(Latest):
    """The same without a loss: the thread reads one frame ahead and waits until that is taken. So no reader waits for a lost device."""

    def _hold(self, frame: Frame) -> None:
        self._changed.wait_for(lambda: self._newest is None or self._stopping)
        self._newest = frame
