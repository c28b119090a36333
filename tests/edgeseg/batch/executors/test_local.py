"""Processes of this machine as workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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


def test_leaving_ends_workers_that_take_no_signal(options):
    """A worker that ignores SIGTERM does not keep the batch waiting, nor does one that is stopped."""
    with LocalExecutor(3, light) as executor:
        for name in ("deaf", "stopped", "a"):
            executor.submit(job(name, options))
        assert executor.next()[0].name == "a"


def test_workers_end_with_a_batch_that_is_killed(options, checkout):
    """In the middle of a clip, whose results nobody asks for any more and which would take the next batch's processors for hours."""
    code = (
        "from pathlib import Path\n"
        "from edgeseg.batch import Job\n"
        "from edgeseg.batch.executors import LocalExecutor\n"
        "from tests.edgeseg.batch.workers import light\n"
        "if __name__ == '__main__':\n"
        "    executor = LocalExecutor(1, light)\n"
        "    for name in ('a', 'slow'):\n"
        "        executor.submit(Job('', '', name, None))\n"
        "        if name == 'a':\n"
        "            print(executor.next()[1].frames, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as batch:
        worker = int(batch.stdout.readline())
        assert alive(worker)
        batch.kill()
    try:
        while alive(worker):
            pass
    finally:
        if alive(worker):
            os.kill(worker, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process still runs, with any of its threads; one that has ended and was not waited for does not."""
    place = Path(f"/proc/{pid}")
    try:
        is_over = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not is_over or len(list((place / "task").iterdir())) > 1
    except FileNotFoundError:
        return False
