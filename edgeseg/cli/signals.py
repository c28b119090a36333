"""SIGTERM, which service managers and ``kill`` send, ends a command as Ctrl-C does: outputs are made whole first."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came. What is ready for Ctrl-C is ready for it."""


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Raise `Terminated` in the block when SIGTERM comes. Does nothing on threads other than the main one, which get no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(*_: Any) -> None:
    """Raise, unless the outputs are just being closed because the command was stopped already."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return
        error = error.__context__
    raise Terminated
