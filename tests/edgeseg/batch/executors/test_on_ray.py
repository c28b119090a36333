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

ONE_CPU = {"CPU": 1, "GPU": 0}


def test_without_ray_the_extra_is_named(monkeypatch):
    """In one sentence."""
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'edgeseg\[ray\]'"):
        RayExecutor("local", 1, ONE_CPU)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "video.mp4", "nowhere:port", "127.0.0.1:99999"])
def test_address_where_no_cluster_is_is_wrong_usage(monkeypatch, address):
    """At once, also where a video was meant; Ray is not even asked."""
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))

    with pytest.raises(UsageError, match=rf"there is no Ray cluster at '{address}'"):
        RayExecutor(address, 1, ONE_CPU)


@pytest.mark.parametrize("error", [OSError("AF_UNIX path length"), RuntimeError("no raylet"), Exception("it timed out.")])
def test_ray_that_does_not_start_is_wrong_usage(monkeypatch, error):
    """Its errors are of many kinds, and some of none."""

    def fail(*_, **__):
        raise error

    monkeypatch.setitem(sys.modules, "ray", stand_in(init=fail))

    with pytest.raises(UsageError, match=rf"Ray cannot be used at 'local': {str(error).rstrip('.')}\. It keeps its files in /tmp/ray"):
        RayExecutor("local", 1, ONE_CPU)


@pytest.mark.parametrize(
    ("cpus", "gpus", "told"),
    [
        (8, 0, []),
        (4, 1, []),
        (9, 0, ["no machine of the Ray cluster has the 9 CPUs of a worker (8 CPU, 0 GPU; 4 CPU, 2 GPU)"]),
        (8, 1, ["no machine of the Ray cluster has the 8 CPUs and 1 GPU of a worker (8 CPU, 0 GPU; 4 CPU, 2 GPU)"]),
    ],
)
def test_worker_that_no_machine_has_room_for_is_told_of(monkeypatch, caplog, cpus, gpus, told):
    """Ray would wait for such a machine without a word; one that is down is none. The task asks for what a job needs."""
    there = [{"CPU": 8.0}, {"CPU": 4.0, "GPU": 2.0}]
    nodes = [*({"Alive": True, "Resources": each} for each in there), {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]
    asked = []

    def remote(**needs):
        asked.append(needs)
        return lambda work: work

    monkeypatch.setitem(sys.modules, "ray", stand_in(nodes=lambda: nodes, remote=remote))

    RayExecutor("local", 1, {"CPU": cpus, "GPU": gpus}).close()

    assert asked == [{"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}]
    assert [record.message.partition(":")[0] for record in caplog.records] == told


def stand_in(**parts: object) -> ModuleType:
    """A module in place of Ray."""
    module = ModuleType("ray")
    nothing = {"init": lambda *_, **__: None, "nodes": list, "remote": lambda **_: lambda work: work, "shutdown": lambda: None}
    vars(module).update({**nothing, **parts})
    return module


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
