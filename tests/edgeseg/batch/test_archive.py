"""Twenty clips and a worker that is killed in the middle of one: minutes, not seconds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from edgeseg.batch.clip import WORK
from edgeseg.data import demo_bundle
from edgeseg.sources import open_source
from tests.edgeseg.batch.test_clip import without_time

CLIPS, FRAMES = 20, 24
OPTIONS = ["--schedule", "fixed:5", "--track", "--backend", "onnxruntime", "--workers", "2", "--threads", "1"]
ON = {"local": [], "ray": ["--ray"]}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[str]:
    """Different scenes as videos."""
    from edgeseg.opencv import opencv

    folder = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        writer = opencv().VideoWriter(str(folder / f"{number:02}.mp4"), opencv().VideoWriter_fourcc(*"mp4v"), 30, (320, 240))
        with open_source(f"synthetic:seed={900 + number},frames={FRAMES},size=320x240") as source:
            for frame in source:
                writer.write(frame.pixels)
        writer.release()
    return sorted(map(str, folder.iterdir()))


def command(clips: list[str], out: Path, on: str) -> list[str]:
    return [sys.executable, "-m", "edgeseg", "batch", str(demo_bundle()), *clips, "--out", str(out), *OPTIONS, *ON[on]]


@pytest.fixture(scope="module")
def expected(clips, tmp_path_factory, checkout) -> dict[str, list[dict]]:
    """The lines of a batch without an accident."""
    out = tmp_path_factory.mktemp("expected")
    subprocess.run(command(clips, out, "local"), cwd=checkout, check=True, capture_output=True)
    return lines(out)


def lines(out: Path) -> dict[str, list[dict]]:
    return {path.name: without_time(path) for path in sorted(out.glob("*.jsonl")) if path.name != "batch.jsonl"}


def half_done(out: Path, process: subprocess.Popen) -> tuple[int, Path]:
    """Wait until some clips are done and a worker is in the middle of one; the worker and its lines."""
    while process.poll() is None:
        # Not the whole of a core: the workers need it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
        if len(list(out.glob("[0-9]*.jsonl"))) >= 5 and (found := at_work(out)):
            return found[0]
    raise AssertionError(process.communicate())


def at_work(out: Path) -> list[tuple[int, Path]]:
    """Processes that have the lines of a clip open, after some frames. They come and go while one looks."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                file = link.readlink()
                is_half = file.parent.name.startswith(WORK) and file.parent.parent == out and file.suffix == ".jsonl"
                if is_half and file.stat().st_size > 10_000:
                    found.append((int(process.name), file))
    return found


@pytest.mark.parametrize("on", ON)
def test_killed_worker_changes_nothing(clips, expected, tmp_path, checkout, on):
    """Complete, exit code 0, every line the same but for its age, and every clip once."""
    if on == "ray":
        pytest.importorskip("ray", reason="Ray is not installed")
    out = tmp_path / "out"
    out.mkdir()
    with subprocess.Popen(command(clips, out, on), cwd=checkout, stderr=subprocess.PIPE, text=True) as process:
        worker, victim = half_done(out, process)
        os.kill(worker, signal.SIGKILL)
        _, told = process.communicate()

    assert process.returncode == 0, told
    assert f"{victim.stem}.mp4 was lost" in told
    assert f"{CLIPS} clips done, 0 were there, 0 failed" in told
    assert lines(out) == expected
    assert [len(records) for records in expected.values()] == [FRAMES] * CLIPS
    journal = [json.loads(line) for line in (out / "batch.jsonl").read_text().splitlines()[1:]]
    assert Counter(entry["state"] for entry in journal) == {"done": CLIPS}
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("on", ON)
def test_terminated_batch_goes_on_where_it_was(clips, expected, tmp_path, checkout, on):
    """SIGTERM in the middle: code 143, whole results alone; the same command then does the others, and all is as without it."""
    if on == "ray":
        pytest.importorskip("ray", reason="Ray is not installed")
    out = tmp_path / "out"
    out.mkdir()
    with subprocess.Popen(command(clips, out, on), cwd=checkout, stderr=subprocess.PIPE, text=True) as process:
        half_done(out, process)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate()
    assert process.returncode == 143, told
    assert "the same command does the others" in told
    there = lines(out)
    assert 5 <= len(there) < CLIPS
    assert there.items() <= expected.items()
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []

    done = subprocess.run(command(clips, out, on), cwd=checkout, capture_output=True, text=True, check=True)
    assert f"{CLIPS - len(there)} clips done, {len(there)} were there, 0 failed" in done.stderr
    assert lines(out) == expected
