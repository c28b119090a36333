"""What an executor is: it takes jobs and says, one by one, what became of them."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

from edgeseg.batch.clip import Job, Outcome

Work: TypeAlias = Callable[[Job], Outcome]
"""What a worker does with a job: a function of a module, because it travels by its name."""


@dataclass(frozen=True)
class Lost:
    """A worker ended before it could say what became of its job."""

    reason: str


class Executor(abc.ABC):
    """Runs jobs beside each other. A context manager: leaving it ends its workers, whatever they are at."""

    slots: int | None
    """How many jobs it takes at once; None for as many as one likes."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @abc.abstractmethod
    def submit(self, job: Job) -> None:
        """Begin a job; only while fewer than ``slots`` are under way."""

    @abc.abstractmethod
    def next(self) -> tuple[Job, Outcome | Lost]:
        """Wait until one of the jobs under way has ended. The job of a worker that was lost is under way no more."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the workers at once. Calling it twice is fine."""
