"""What keeps the memory of a run flat over hours."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

INTERVAL_S = 60.0


class Tidy:
    """Called after every frame, it collects Python's garbage now and then.

    By itself Python does so after many more new objects than it frees, which a steady run makes in hours: garbage with cycles, as
    connections to the web page leave it, and freed tuples that are kept for later pile up until then. What is there after the first
    frame, libraries and the model, is never garbage and is not looked at again, which makes a collection a matter of milliseconds.

    Args:
        clock: seconds of the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s: float | None = None

    def __call__(self) -> None:
        now_s = self._clock()
        if self._last_s is None:
            gc.collect()
            gc.freeze()
        elif now_s - self._last_s >= INTERVAL_S:
            gc.collect()
        else:
            return
        self._last_s = now_s

    def __enter__(self) -> Tidy:
        return self

    def __exit__(self, *_: object) -> None:
        """All is looked at again."""
        gc.unfreeze()
