"""Overlapped key frames: the full graph runs on a thread of its own while frames go on."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from edgeseg.model import Carry, Inference, Model
from edgeseg.motion import Motion, Trail
from edgeseg.types import Frame

NICENESS = 10
"""By how much the full graph stands back behind the frames that go on; 19 is the most."""


@dataclass(frozen=True, repr=False)
class FinishedKey:
    """A key frame's result, and how the picture has moved since."""

    inference: Inference
    trail: Trail


class KeyWorker:
    """Runs the full graph on one frame at a time, on one thread. Called from one other thread only; close it when done.

    On Linux that thread has a low priority, so that a frame that comes in gets a processor at once.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgeseg-key", initializer=_stand_back)
        # The backend's own threads inherit the priority of the thread that opens the graph.
        self._executor.submit(model.reopen_key).result()
        self._running: Future[Inference] | None = None
        self._trail = Trail()

    @property
    def idle(self) -> bool:
        """Whether it can take a frame."""
        return self._running is None

    def submit(self, frame: Frame, before: Carry) -> None:
        """Start on a frame, with what the newest key frame before it left; only when idle."""
        self._trail = Trail()
        self._running = self._executor.submit(self._model.key, frame, before)

    def follow(self, motion: Motion) -> None:
        """Note how the picture moved, one frame after the other from the submitted one on."""
        if self._running is not None:
            self._trail.add(motion)

    def take(self) -> FinishedKey | None:
        """The result if it is ready, else None. Raises what the graph raised."""
        return self.wait() if self._running is not None and self._running.done() else None

    def wait(self) -> FinishedKey | None:
        """The result of the frame in flight as soon as it is ready; None if there is none. Raises what the graph raised."""
        running, self._running = self._running, None
        return None if running is None else FinishedKey(running.result(), self._trail)

    def settle(self) -> None:
        """Wait until the frame in flight is ready, and leave it to be taken."""
        if self._running is not None:
            self._running.exception()

    def close(self) -> None:
        """End the thread, after the frame in flight. Calling it twice is fine."""
        self._executor.shutdown(wait=True)


def _stand_back() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
