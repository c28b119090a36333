"""What workers do in tests: the work of `edgeseg.batch.process`, with accidents in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from edgeseg.batch import Job, Outcome, process
from edgeseg.batch.executors.fake import WorkerLost
from edgeseg.sinks import JsonlSink

LINES = 2
"""So many lines are written when the accident comes."""


def killed_once(job: Job) -> Outcome:
    """Clips whose name has an ``x`` kill their first worker."""
    return _with(_kill if "x" in job.name and job.attempt == 1 else None, job)


def lost_once(job: Job) -> Outcome:
    """As `killed_once`, in the thread of a test."""
    return _with(_lose if "x" in job.name and job.attempt == 1 else None, job)


def lost_always(job: Job) -> Outcome:
    """Clips whose name has an ``x`` lose every worker, in the thread of a test."""
    return _with(_lose if "x" in job.name else None, job)


def _with(accident: Callable[[], None] | None, job: Job) -> Outcome:
    """Process a clip; the accident happens after some lines. Half results are where the worker left them."""
    if accident is None:
        return process(job)
    whole = JsonlSink.write

    def write(self, frame, result):
        whole(self, frame, result)
        if frame.index == LINES - 1:
            accident()

    JsonlSink.write = write
    try:
        return process(job)
    finally:
        JsonlSink.write = whole


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _lose() -> None:
    raise WorkerLost("an accident")


def light(job: Job) -> Outcome:
    """Processes nothing. Says in ``frames`` who it is; clips named ``x`` kill the worker, ``slow``, ``deaf`` and ``stopped`` never end."""
    if job.name == "x":
        _kill()
    if job.name == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if job.name == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while job.name in ("slow", "deaf"):
        signal.pause()
    return Outcome(frames=os.getpid())
