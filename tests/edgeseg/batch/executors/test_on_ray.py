"""Ray's tasks as workers."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgeseg.batch import Job, process
from edgeseg.batch.executors import RayExecutor
from edgeseg.errors import MissingDependencyError, UsageError
from tests.edgeseg.batch.test_clip import without_time


def test_without_ray_the_extra_is_named(monkeypatch):
    """In one sentence."""
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'edgeseg\[ray\]'"):
        RayExecutor("local", 1, 1)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "video.mp4", "nowhere:port", "127.0.0.1:99999"])
def test_address_where_no_cluster_is_is_wrong_usage(monkeypatch, address):
    """At once, also where a video was meant; Ray is not even asked."""
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))

    with pytest.raises(UsageError, match=rf"there is no Ray cluster at '{address}'"):
        RayExecutor(address, 1, 1)


def test_worker_that_is_killed_loses_nothing(make_job, folder, checkout):
    """Real Ray: a worker is killed in the middle of its clip; in the end all is there as without an accident, and nothing half done."""
    jobs = [make_job(name) for name in ("a", "x")]
    expected = expect(jobs, folder)

    lines = run_on_ray(jobs, checkout, slots=2)

    assert lines[:2] == ["a", "x"]
    assert [line for line in lines[2:] if "x.mp4 was lost" in line] == lines[2:]
    assert len(lines) == 3
    assert {path.name: without_time(path) for path in folder.iterdir() if path.suffix == ".jsonl"} == expected


def expect(jobs: list[Job], folder: Path) -> dict[str, list[dict]]:
    """The lines of every clip as this process makes them, in a folder that is empty again."""
    for job in jobs:
        assert process(job).error is None
    made = {path.name: without_time(path) for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()
    return made


def run_on_ray(jobs: list[Job], checkout: Path, slots: int) -> list[str]:
    """What `tests.edgeseg.batch.ray_batch` tells."""
    pytest.importorskip("ray", reason="Ray is not installed")
    file = Path(jobs[0].folder).with_name("jobs.pickle")
    file.write_bytes(pickle.dumps(jobs))
    told = file.with_suffix(".txt")
    command = [sys.executable, "-m", "tests.edgeseg.batch.ray_batch", str(file), str(slots), str(told)]
    done = subprocess.run(command, cwd=checkout, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return told.read_text().splitlines()
