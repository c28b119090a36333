"""A live source: pictures of a device, which is connected anew when it is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from edgeseg.errors import SourceError
from edgeseg.events import Event, to_log
from edgeseg.sources.base import Source, SourceCounts, SourceInfo
from edgeseg.sources.capture import Capture
from edgeseg.sources.frozen import FrozenWatch
from edgeseg.sources.settings import LiveSettings
from edgeseg.types import Frame, U8Array

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0)
"""Waits before attempts to connect; the last one repeats. It is short: a stream that works again is wanted at once."""


class LiveSource(Source):
    """Every picture that a device gives, in order, until `interrupt`.

    The first connection must succeed, unless the settings say that the device may be away. One that breaks later, or gives no picture
    for ``stall_s``, is closed and opened anew as often as the settings allow.

    Args:
        capture: the device; opened here where it must be there, closed by `close`.
        settings: see there; ``reconnect`` of None counts as 0.
        clock: seconds of the monotonic clock.
        wait: sleeps for some seconds, and returns early with True once the source is interrupted.
    """

    def __init__(
        self,
        capture: Capture,
        settings: LiveSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._capture, self._settings, self._clock = capture, settings, clock
        self._interrupted = threading.Event()
        self._wait = wait or self._interrupted.wait
        self._note = settings.note or to_log(__name__)
        self._frozen = FrozenWatch(settings.frozen_s)
        self._attempts = self._reconnects = self._freezes = 0
        self._is_lost = settings.may_be_away and bool(settings.reconnect)
        self._was_there = not self._is_lost
        self.info = SourceInfo(name=capture.name, fps=None if self._is_lost else capture.open())

    @property
    def counts(self) -> SourceCounts:
        return SourceCounts(reconnects=self._reconnects, freezes=self._freezes)

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self.interrupt()
        self._capture.close()

    def __iter__(self) -> Iterator[Frame]:
        start_s: float | None = None
        for index, (pixels, captured_s) in enumerate(self._pictures()):
            start_s = captured_s if start_s is None else start_s
            if self._frozen.see(pixels, captured_s):
                self._freezes += 1
                self._tell_frozen()
            yield Frame(
                pixels, index, captured_s=captured_s, stream=self.info.name, time_s=captured_s - start_s, reconnects=self._reconnects
            )

    def _pictures(self) -> Iterator[tuple[U8Array, float]]:
        lost_s = self._clock()
        while not self._is_lost or self._connect(lost_s):
            self._is_lost, self._was_there = False, True
            yield from self._connection()
            lost_s, self._is_lost = self._clock(), True
            self._capture.close()
            if self._interrupted.is_set():
                return

    def _connection(self) -> Iterator[tuple[U8Array, float]]:
        """Pictures with the time at which each came, until the connection is lost."""
        waiting_since_s = self._clock()
        while not self._interrupted.is_set() and self._capture.grab():
            captured_s = self._clock()
            if captured_s - waiting_since_s >= self._settings.stall_s:
                # What comes now is what a decoder had held back, or the first sign of life after too long.
                return
            pixels = self._capture.read()
            if pixels is None:
                continue
            self._attempts = 0
            yield pixels, captured_s
            waiting_since_s = self._clock()

    def _connect(self, lost_s: float) -> bool:
        """Try until it works; False if interrupted.

        Raises:
            SourceError: it did not work as often as the settings allow.
        """
        allowed, name = self._settings.reconnect or 0, self.info.name
        if allowed and not self._attempts and self._was_there:
            self._note(Event("stream.lost", f"{name} gives no new pictures; connecting anew", logging.WARNING, source=name))
        reason = "--reconnect allows no new attempt."
        while self._attempts < allowed:
            delay_s = BACK_OFF_S[min(self._attempts, len(BACK_OFF_S) - 1)]
            self._attempts += 1
            if self._wait(delay_s):
                return False
            try:
                self._capture.open()
            except SourceError as error:
                reason = str(error)
                continue
            self._reconnects += self._was_there
            after_s = self._clock() - lost_s
            text = f"{name} is connected {'again ' * self._was_there}after {after_s:.1f} s"
            self._note(Event("stream.back", text, source=name, after_s=round(after_s, 3), attempts=self._attempts))
            return True
        if not self._was_there:
            raise SourceError(f"{name} did not come in {allowed} attempts. {reason}")
        raise SourceError(f"{name} ended or was lost{f', and did not come back in {allowed} attempts' if allowed else ''}. {reason}")

    def _tell_frozen(self) -> None:
        name, frozen_s = self.info.name, self._settings.frozen_s
        text = f"{name} has sent the same picture for {frozen_s:g} s. Does the camera hang?"
        self._note(Event("stream.frozen", text, logging.WARNING, source=name, frozen_s=frozen_s))
