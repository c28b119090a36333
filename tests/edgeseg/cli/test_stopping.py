"""SIGTERM while several streams run, while a camera is being connected anew, and while a model is loaded."""

from __future__ import annotations

import json
import os
import signal
import threading

import numpy as np
import pytest

from edgeseg.cli import main
from edgeseg.cli import run as run_verb
from edgeseg.cli.status import StreamStatus
from edgeseg.errors import SourceError
from edgeseg.sources import LiveSettings, open_live, open_source
from edgeseg.sources.fake import FakeCapture, FakeClock, Lost, Refused, Shot
from edgeseg.sources.settings import FOREVER

OPTIONS = ["--backend", "onnxruntime", "--threads", "1"]


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def frames_of(video) -> int:
    """Frames that a video gives when it is played."""
    with open_source(video) as source:
        return sum(1 for _ in source)


@pytest.fixture
def killed_at_fifth_frame(monkeypatch) -> None:
    """SIGTERM comes when the fifth frame of all streams is done."""
    seen = []

    def see(_self, _result):
        seen.append(1)
        if len(seen) == 5:
            terminate()

    monkeypatch.setattr(StreamStatus, "see", see)


def test_several_streams_are_finished(bundle, tmp_path, capsys, killed_at_fifth_frame):
    """Every video can be played, lines are whole, and both hold the frames up to there."""
    clips = [f"synthetic:seed={seed},frames=100,size=64x48" for seed in (1, 2)]
    out, lines = tmp_path / "out", tmp_path / "all.jsonl"

    assert main(["run", str(bundle), *clips, "--out", f"{out}/", "--jsonl", str(lines), *OPTIONS]) == 143

    assert [frames_of(out / name) for name in ("0.mp4", "1.mp4")] == [3, 2]
    assert sorted(path.name for path in out.iterdir()) == ["0.mp4", "1.mp4"]
    text = lines.read_text()
    assert text.endswith("\n")
    records = [json.loads(line) for line in text.splitlines()]
    assert [(record["stream"], record["frame"]) for record in records] == [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2)]
    assert capsys.readouterr().err.endswith("\nedgeseg: stopped; outputs hold the frames up to here\n")


class DyingCamera(FakeCapture):
    """Gives a picture, and none any more once its result is there. SIGTERM comes when it is tried the first time after that."""

    def __init__(self) -> None:
        super().__init__([Shot(np.full((48, 64, 3), 90, np.uint8)), Lost(), *[Refused()] * 1000], FakeClock())
        self.has_result = threading.Event()

    def grab(self) -> bool:
        if self.openings and isinstance(self._script[0], Lost):
            self.has_result.wait(60)
        return super().grab()

    def open(self) -> float | None:
        if self.openings == 1:
            terminate()
        return super().open()


def test_a_camera_that_is_away_does_not_hold_up_the_end(bundle, tmp_path, capsys, monkeypatch):
    """The wait for its next picture is left, its thread ends, and what came before is there."""
    camera, video, lines = DyingCamera(), tmp_path / "out.mp4", tmp_path / "out.jsonl"
    opened = []

    def open_camera(*_):
        opened.append(open_live(camera, LiveSettings(reconnect=FOREVER)))
        return opened[0]

    monkeypatch.setattr(run_verb, "open_source", open_camera)
    monkeypatch.setattr(StreamStatus, "see", lambda *_: camera.has_result.set())

    assert main(["run", str(bundle), "0", "--out", str(video), "--jsonl", str(lines), *OPTIONS]) == 143

    assert (frames_of(video), len(lines.read_text().splitlines())) == (1, 1)
    assert not camera.is_open
    assert not opened[0]._thread.is_alive()
    told = capsys.readouterr().err
    assert "made-up camera gives no new pictures; connecting anew" in told
    assert told.endswith("\nedgeseg: stopped; outputs hold the frames up to here\n")


def test_a_model_that_is_being_loaded_leaves_nothing(bundle, tmp_path, capsys, monkeypatch):
    """No output was begun; older ones stay."""
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    lines.write_text("older\n")
    before = sorted(tmp_path.rglob("*"))

    def load(*_args, **_options):
        terminate()
        raise SourceError("SIGTERM did not stop it")

    monkeypatch.setattr(run_verb, "load", load)
    command = ["run", str(bundle), "synthetic:frames=3", "--out", str(video), "--jsonl", str(lines), *OPTIONS]

    assert main(command) == 143

    assert (sorted(tmp_path.rglob("*")), lines.read_text()) == (before, "older\n")
    assert "Traceback" not in capsys.readouterr().err


def test_quiet_says_nothing_of_it(bundle, capsys, killed_at_fifth_frame):
    """The exit code does."""
    assert main(["run", str(bundle), "synthetic:seed=1,frames=100,size=64x48", "--quiet", *OPTIONS]) == 143

    assert capsys.readouterr() == ("", "")
