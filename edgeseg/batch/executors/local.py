"""Processes of this machine. Each has its own pipe, so that one that dies takes no other's job with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait

from edgeseg.batch.clip import Job, Outcome, process
from edgeseg.batch.executors.base import Executor, Lost, Work


class LocalExecutor(Executor):
    """Processes that start with a fresh interpreter when there is work for them, and keep their model from one clip to the next."""

    def __init__(self, workers: int, work: Work = process) -> None:
        self.slots = workers
        self._work = work
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Job]] = {}

    def submit(self, job: Job) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._work)
        try:
            worker.pipe.send(job)
        except OSError:
            # It died while it had nothing to do.
            worker.end()
            worker = _Worker(self._work)
            worker.pipe.send(job)
        self._busy[worker.pipe] = (worker, job)

    def next(self) -> tuple[Job, Outcome | Lost]:
        pipe = next(pipe for pipe in wait(list(self._busy)) if isinstance(pipe, Connection))
        worker, job = self._busy.pop(pipe)
        try:
            outcome: Outcome = pipe.recv()
        except (EOFError, OSError):
            return job, Lost(worker.end())
        self._idle.append(worker)
        return job, outcome

    def close(self) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.stop()
        self._idle.clear()
        self._busy.clear()


class _Worker:
    """One process."""

    def __init__(self, work: Work) -> None:
        # Spawned: a fork would take over the threads' locks of the libraries that are loaded here, but not the threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True, name="edgeseg-batch")
        self._process.start()
        # Only when nobody here holds it as well does the end of the process end the pipe.
        theirs.close()

    def stop(self) -> None:
        """End the process, whatever it is at, also where it is stopped or takes no other signal."""
        self._process.kill()
        self.end()

    def end(self) -> str:
        """Wait for the end of a process that was stopped or died; says how it ended."""
        self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        self.pipe.close()
        return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _serve(pipe: Connection, work: Work) -> None:
    """Do what comes through the pipe until nobody is at its other end."""
    # Ctrl-C reaches every process of a terminal; the one that started this decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send(work(pipe.recv()))


def _end_with_parent() -> None:
    """End this process when the one that started it is killed: in the middle of a clip nothing else would tell it for hours."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
