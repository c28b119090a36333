"""SIGTERM, which service managers and ``kill`` send, and the end of the terminal (SIGHUP) end a command as Ctrl-C does: outputs are made
whole first.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came. What is ready for Ctrl-C is ready for it."""

    number = signal.SIGTERM


class HungUp(Terminated):
    """The terminal has gone, or the connection to it."""

    number = signal.SIGHUP


_RAISED = {kind.number: kind for kind in (Terminated, HungUp)}


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Raise `Terminated` in the block when SIGTERM comes, `HungUp` when SIGHUP does and nobody asked to ignore it, as nohup does.

    Does nothing on threads other than the main one, which get no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _RAISED}
    heeded = [number for number in before if before[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _stop(number: int, _frame: Any) -> None:
    """Raise, unless the outputs are just being closed because the command was stopped already."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return
        error = error.__context__
    raise _RAISED[signal.Signals(number)]
