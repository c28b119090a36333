"""The GPU benchmarks say what is missing where there is no GPU, and put their parts together whatever became of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.device_prepare
import benchmarks.gpu
import benchmarks.gpu_providers
import benchmarks.gpu_replay
from benchmarks.gpu import caught, graphs, machine, seam, summary
from edgeseg.data import demo_bundle
from edgeseg.device import DRIVERS, choose_device
from edgeseg.device.fake import FakeCuda, FakeDevice
from edgeseg.device.resize import FUNCTION, twin

NO_GPU = pytest.mark.skipif(choose_device()[0] is not None, reason="this machine has a GPU: tests/gpu and benchmarks/run_gpu.sh use it")


class WithKernels(FakeCuda):
    """The fake device, with a twin of the kernel that the benchmark compiles."""

    def open(self) -> FakeDevice:
        return FakeDevice(kernels={FUNCTION: twin})


@NO_GPU
def test_each_part_says_what_is_missing():
    """By package, with the remedy; nothing is raised."""
    found = machine([])
    assert set(found["drivers"]) == set(DRIVERS)
    assert all(not told["usable"] and told["remedy"] for told in found["drivers"].values())
    assert all("no_gpu" in told for told in seam([]).values())
    assert "no_gpu" in graphs([])["demo"]


def test_a_part_that_fails_is_told():
    """With its error, in place of its numbers."""
    assert caught(lambda: 1 / 0)["failed"] == "ZeroDivisionError: division by zero"


def test_both_ways_of_preparing_are_timed_and_equal(monkeypatch):
    """On the fake device, whose times mean nothing."""
    monkeypatch.setattr(benchmarks.device_prepare, "ROUNDS", 2)
    monkeypatch.setattr(benchmarks.device_prepare, "WARM_UP", 1)
    monkeypatch.setattr(benchmarks.device_prepare, "FRAMES", {"small": (60, 80)})

    found = benchmarks.device_prepare.compare(WithKernels())["small"]

    assert found["equal_to_twin"] == {"host": True, "device": True}
    assert found["host"]["count"] == found["device"]["kernel"]["count"] == 2


def test_the_seam_is_timed(monkeypatch):
    """Copies, replayed copies, and making the device the thread's own."""
    monkeypatch.setattr(benchmarks.gpu, "DRIVERS", {"fake": FakeCuda()})

    assert {"by", "copies", "replayed", "active"} <= set(seam([])["fake"])


def test_replaying_is_compared_with_enqueueing(monkeypatch):
    """With the CPU in the place of the GPU, which records nothing: both agree, whatever the picture."""
    monkeypatch.setattr(benchmarks.gpu_replay, "ROUNDS", 2)
    monkeypatch.setattr(benchmarks.gpu_replay, "WARM_UP", 1)
    cpu = benchmarks.gpu_replay.Place("CPUExecutionProvider", "cpu", (), ())

    found = benchmarks.gpu_replay.compare_all(str(demo_bundle()), cpu)["fp32"]

    assert set(found["largest_difference"].values()) == {0}
    assert (found["replays_repeat"], found["answers_differ_by_picture"]) == (True, True)
    assert found["enqueued"]["count"] == found["replayed"]["count"] == 2


@NO_GPU
@pytest.mark.parametrize("benchmark", [benchmarks.gpu_replay, benchmarks.gpu_providers], ids=["replay", "providers"])
def test_a_provider_that_is_missing_is_told(tmp_path, monkeypatch, benchmark):
    """In the record, which is written all the same."""
    monkeypatch.setattr(sys, "argv", ["benchmark", "--out", str(tmp_path / "record.json")])

    benchmark.main()

    record = json.loads((tmp_path / "record.json").read_text())
    assert "no provider CUDA" in json.dumps(record)


def test_the_script_is_one_that_bash_reads(checkout: Path):
    """Without running it, which takes minutes on a GPU machine; its limits sum to less than nine of them."""
    script = checkout / "benchmarks" / "run_gpu.sh"
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0

    calls = [line.split() for line in script.read_text().splitlines() if line.startswith(("part ", "tests "))]
    assert len(calls) == 11
    assert sum(int(call[2]) for call in calls) < 9 * 60


def test_the_summary_holds_every_part(tmp_path: Path):
    """Reports, outcomes of tests, and the log of a part that left neither."""
    (tmp_path / "parts.txt").write_text("machine 0 1 30\ntest_device 1 2 80\ngraphs 124 110 110\n")
    (tmp_path / "machine.json").write_text(json.dumps({"gpu": "one"}))
    case = '<testcase name="{}" time="0.5">{}</testcase>'
    cases = case.format("a", "") + case.format("b", '<failure message="why"/>') + case.format("c", '<skipped message="no GPU"/>')
    (tmp_path / "test_device.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    (tmp_path / "graphs.log").write_text("killed")

    found = summary(tmp_path)

    assert found["machine"] == {"gpu": "one"}
    assert [case["outcome"] for case in found["test_device"]] == ["passed", "failure", "skipped"]
    assert found["test_device"][1]["why"] == "why"
    assert found["graphs"] == {"log": "killed"}
    assert [part["timed_out"] for part in found["parts"]] == [False, False, True]
