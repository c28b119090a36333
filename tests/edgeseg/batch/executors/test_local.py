"""Processes of this machine as workers."""

from __future__ import annotations

import os
import signal

import pytest

from edgeseg.batch import Job
from edgeseg.batch.executors import LocalExecutor, Lost
from tests.edgeseg.batch.workers import light


def job(name: str, options) -> Job:
    return Job(f"/clips/{name}.mp4", "/results", name, options)


def test_worker_that_dies_loses_its_own_job_alone(options):
    """The other goes on in its process; one that died idle is replaced without a word."""
    with LocalExecutor(2, light) as executor:
        executor.submit(job("a", options))
        executor.submit(job("x", options))
        ended = {done.name: what for done, what in (executor.next(), executor.next())}
        assert ended["x"] == Lost("ended by signal 9")
        first = ended["a"].frames
        executor.submit(job("b", options))
        assert executor.next()[1].frames == first
        os.kill(first, signal.SIGKILL)
        while alive(first):
            pass
        executor.submit(job("c", options))
        done, outcome = executor.next()

    assert done.name == "c"
    assert outcome.frames not in (first, os.getpid())


def test_leaving_ends_workers_in_the_middle_of_a_job(options):
    """And those that wait for one."""
    with LocalExecutor(2, light) as executor:
        executor.submit(job("slow", options))
        executor.submit(job("a", options))
        _, outcome = executor.next()

    with pytest.raises(ProcessLookupError):
        os.kill(outcome.frames, 0)
    executor.close()


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and was not waited for does not."""
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  a file of the kernel
        return stat.read().rpartition(")")[2].split()[0] != "Z"
