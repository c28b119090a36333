"""A batch from its first job to its last, whatever runs the jobs."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from edgeseg.batch.clip import Job, Outcome
from edgeseg.batch.executors.base import Executor, Lost
from edgeseg.errors import BundleError, EdgesegError, MissingDependencyError, UsageError
from edgeseg.events import Event

ATTEMPTS = 3
"""How often a clip is begun before it counts as one that no worker survives."""
_FOR_ALL = (UsageError, BundleError, MissingDependencyError)
"""Errors that no clip would be spared."""


def run_batch(jobs: Sequence[Job], executor: Executor, on_end: Callable[[Job, Outcome], None], note: Callable[[str], None]) -> None:
    """Process clips. The job of a worker that is lost is begun anew, after those that wait; a clip that cannot be processed ends alone.

    Args:
        jobs: what to do.
        executor: what does it. The caller closes it.
        on_end: told of every clip that is done or given up, in the order in which they end.
        note: takes a line where a worker is lost.

    Raises:
        UsageError, BundleError, MissingDependencyError: from a clip, because it would be that of every other as well.
    """
    waiting, running = deque(jobs), 0
    while waiting or running:
        while waiting and (executor.slots is None or running < executor.slots):
            executor.submit(waiting.popleft())
            running += 1
        job, ended = executor.next()
        running -= 1
        if isinstance(ended, Lost) and job.attempt < ATTEMPTS:
            text = f"the worker of {job.source} was lost ({ended.reason}); it is begun anew"
            note(Event("clip.anew", text, logging.WARNING, clip=job.name, reason=ended.reason, attempt=job.attempt))
            waiting.append(replace(job, attempt=job.attempt + 1))
            continue
        outcome = Outcome(error=_given_up(ended)) if isinstance(ended, Lost) else ended
        if isinstance(outcome.error, _FOR_ALL):
            raise outcome.error
        on_end(job, outcome)


def _given_up(lost: Lost) -> EdgesegError:
    advice = "Is there too little memory? Try it alone, with 'edgeseg run' or --workers 1."
    return EdgesegError(f"{ATTEMPTS} workers in a row were lost with it ({lost.reason}). {advice}")
