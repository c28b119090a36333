"""An executor without workers: jobs run when they are asked for, in the caller's thread. For tests."""

from __future__ import annotations

from collections import deque

from edgeseg.batch.clip import Job, Outcome, process
from edgeseg.batch.executors.base import Executor, Lost, Work


class WorkerLost(Exception):  # noqa: N818  what happens, not an error
    """Raised by the work in place of the end of its process."""


class FakeExecutor(Executor):
    """Runs jobs in the order in which they came."""

    def __init__(self, slots: int = 1, work: Work = process) -> None:
        self.slots = slots
        self._work = work
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._waiting.append(job)

    def next(self) -> tuple[Job, Outcome | Lost]:
        job = self._waiting.popleft()
        try:
            return job, self._work(job)
        except WorkerLost as lost:
            return job, Lost(str(lost))

    def close(self) -> None:
        self._waiting.clear()
