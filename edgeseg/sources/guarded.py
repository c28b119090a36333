"""Devices that may never answer: each call runs on a thread that is given up when it takes too long."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from edgeseg.errors import HangError, SourceError
from edgeseg.sources.capture import Capture
from edgeseg.types import U8Array

STUCK_MAX = 10
"""Threads given up and still stuck, after which no new one is begun: each holds memory and a device that does not answer."""
_T = TypeVar("_T")


class GuardedCapture:
    """A capture whose calls come back in time, whatever the driver behind it does.

    Drivers that hang inside a call cannot be stopped. The call's thread is left behind; should it come back, it closes its device.

    Args:
        make: makes the capture; called for every connection.
        open_s, grab_s: seconds that opening and a picture may take.
    """

    def __init__(self, make: Callable[[], Capture], open_s: float, grab_s: float) -> None:
        self._make = make
        self._open_s, self._grab_s = open_s, grab_s
        self._worker: _Worker | None = None
        self._stuck: list[_Worker] = []
        self.name = make().name

    def open(self) -> float | None:
        """As in `Capture`; HangError once too many calls hang, which no other attempt would help."""
        self.close()
        self._stuck = [worker for worker in self._stuck if worker.is_alive]
        if len(self._stuck) >= STUCK_MAX:
            raise HangError(
                f"{self.name} did not answer {STUCK_MAX} times. Run edgeseg again; if that hangs too, restart the camera's driver."
            )
        self._worker = _Worker(self._make())
        try:
            return self._worker.ask(self._worker.capture.open, self._open_s)
        except FutureTimeoutError as error:
            self._give_up()
            raise SourceError(f"{self.name} did not answer in {self._open_s:g} s. Is its driver or service running?") from error
        except BaseException:
            self.close()
            raise

    def grab(self) -> bool:
        try:
            return self._worker is not None and self._worker.ask(self._worker.capture.grab, self._grab_s)
        except FutureTimeoutError:
            self._give_up()
            return False

    def read(self) -> U8Array | None:
        return None if self._worker is None else self._worker.capture.read()

    def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and not worker.end(self._open_s):
            self._stuck.append(worker)

    def _give_up(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end(0.0)
            self._stuck.append(worker)


class _Worker:
    """The thread of one connection."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="edgeseg-device", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def ask(self, call: Callable[[], _T], limit_s: float) -> _T:
        """What the call returns or raises; TimeoutError if it takes longer."""
        future: Future[_T] = Future()
        self._calls.put((call, future))
        return future.result(limit_s)

    def end(self, limit_s: float) -> bool:
        """Close the device after the call that is running; whether that took no longer than the limit."""
        self._calls.put(None)
        self._thread.join(limit_s)
        return not self.is_alive

    def _work(self) -> None:
        while (entry := self._calls.get()) is not None:
            call, future = entry
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  it is raised where the call was asked for
                future.set_exception(error)
        self.capture.close()
