"""Serve on one backend while another gets ready: its engines are built on a thread of its own, and a key frame changes over."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable, Iterable

from edgeseg.backends import Choice, Session
from edgeseg.errors import EdgesegError
from edgeseg.events import Event

Report = Callable[[str, float], None]
"""Told the phase of a build and how far it has come, 0 to 1."""
Note = Callable[[str], None]
"""Takes one line for the user."""
_FAILURES = (EdgesegError, OSError, RuntimeError, MemoryError)
"""What a build may end with; the backend that serves goes on."""


class Opened:
    """The open graphs of one backend.

    Tensors carried from one graph to another belong to the backend that made them, so whoever keeps such tensors keeps their `Opened`.
    The sessions are closed when nobody does any more, or by `close`.
    """

    def __init__(self, choice: Choice, open_session: Callable[[str], Session]) -> None:
        self.choice = choice
        self._open = open_session
        self._sessions: dict[str, Session] = {}
        weakref.finalize(self, _close_all, self._sessions).atexit = False

    @property
    def names(self) -> tuple[str, ...]:
        """The graphs that are open."""
        return tuple(self._sessions)

    def session(self, name: str) -> Session:
        """The session of a graph, which is opened now if it is not open yet."""
        if name not in self._sessions:
            self._sessions[name] = self._open(name)
        return self._sessions[name]

    def reopen(self, name: str) -> None:
        """Open a graph anew, from the calling thread."""
        if name in self._sessions:
            self._sessions.pop(name).close()
        self.session(name)

    def close(self) -> None:
        """Free the sessions. Calling it twice is fine."""
        _close_all(self._sessions)


def _close_all(sessions: dict[str, Session]) -> None:
    for session in sessions.values():
        session.close()


class Swap:
    """A backend that is getting ready to take over. It has one thread; close it to be sure that the thread has ended.

    Args:
        choice: the backend.
        prepare: builds all that the backend needs; ends early by what the report that it is given raises.
        open_session: opens one graph on the backend, after that.
        note: is told when the backend takes over, or why it does not.
    """

    def __init__(self, choice: Choice, prepare: Callable[[Report], None], open_session: Callable[[str], Session], note: Note) -> None:
        self._choice = choice
        self._prepare = prepare
        self._open = open_session
        self._note = note
        self._ready: Opened | None = None
        self._given_up = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, names: Callable[[], Iterable[str]]) -> None:
        """Begin. Of the graphs, those are opened beforehand that ``names`` gives when the build is done."""
        # A daemon, so that a program that forgets to close its model ends; what is registered then ends the build in order.
        self._thread = threading.Thread(target=self._work, args=(names,), name="edgeseg-build", daemon=True)
        atexit.register(self._end)
        self._thread.start()

    def take(self) -> Opened | None:
        """The graphs, once, as soon as they are open. Called where no tensor is carried over, by one thread at a time."""
        if self._ready is None:
            return None
        opened, self._ready = self._ready, None
        name, reason = opened.choice.name, opened.choice.reason
        self._note(Event("backend.takes_over", f"backend {name} ({reason}) takes over: its engines are built", backend=name, reason=reason))
        return opened

    def wait(self) -> None:
        """Wait until the backend is ready, or will never be."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Give up a build that has not ended, and close what was not taken. Calling it twice is fine."""
        self._end()
        atexit.unregister(self._end)
        if self._ready is not None:
            self._ready.close()
            self._ready = None

    def _end(self) -> None:
        self._given_up.set()
        self.wait()

    def _work(self, names: Callable[[], Iterable[str]]) -> None:
        opened = Opened(self._choice, self._open)
        try:
            self._prepare(self._report)
            for name in names():
                self._report("opening", 1.0)
                opened.session(name)
        except _GivenUpError:
            opened.close()
        except _FAILURES as error:
            opened.close()
            name = self._choice.name
            text = f"backend {name} does not take over: {error}"
            self._note(Event("backend.stays_out", text, logging.WARNING, backend=name, reason=str(error)))
        else:
            self._ready = opened
        atexit.unregister(self._end)

    def _report(self, _phase: str, _fraction: float) -> None:
        if self._given_up.is_set():
            raise _GivenUpError


class _GivenUpError(Exception):
    """The model was closed during the build."""
