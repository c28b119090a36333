"""``edgeseg run`` with several sources."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections import Counter

import numpy as np
import pytest

from edgeseg.cli import main, run_streams
from edgeseg.errors import MissingDependencyError, SourceError
from edgeseg.opencv import opencv
from edgeseg.sinks import WebPage
from edgeseg.sources import open_source
from edgeseg.sources.fake import FakeCapture, FakeClock, Refused, Shot
from edgeseg.sources.rtsp import RtspCapture
from tests.bundles import tiny_bundle

CLIPS = [f"synthetic:seed={seed},frames={frames},size=64x48" for seed, frames in ((1, 6), (2, 4), (3, 6))]
OPTIONS = ["--backend", "onnxruntime", "--threads", "1"]


def lines_of(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_stream_has_its_video_and_lines_say_whose_they_are(bundle, tmp_path, capsys):
    """Three clips in turns; the folder is made; nothing goes to the standard output."""
    out, lines = tmp_path / "videos", tmp_path / "all.jsonl"

    assert main(["run", str(bundle), *CLIPS, "--out", f"{out}/", "--jsonl", str(lines), *OPTIONS]) == 0

    records = lines_of(lines)
    assert Counter(record["stream"] for record in records) == {0: 6, 1: 4, 2: 6}
    assert [(record["stream"], record["frame"]) for record in records[:6]] == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (0, 1)]
    assert all(len(record["instances"]) == 2 for record in records)
    for name, count in (("0.mp4", 6), ("1.mp4", 4), ("2.mp4", 6)):
        with open_source(out / name) as source:
            assert source.info.frame_count == count
    written, told = capsys.readouterr()
    assert written == ""
    for part in ("16 frames of 3 streams in ", "stream 2  synthetic:seed=3", "age, p99 ms", f"wrote {out}/", f"wrote {lines}"):
        assert part in told


def test_key_frames_are_staggered(tmp_path):
    """fixed:2 of a video model: from the second turn on, the streams have their key frames in different turns."""
    bundle, lines = tiny_bundle(tmp_path / "b", warp=True), tmp_path / "all.jsonl"

    assert main(["run", str(bundle), CLIPS[0], CLIPS[2], "--schedule", "fixed:2", "--jsonl", str(lines), *OPTIONS]) == 0

    steps = {stream: [record["step"] for record in lines_of(lines) if record["stream"] == stream] for stream in (0, 1)}
    assert steps == {0: ["key", "warp"] * 3, 1: ["key", "key", "warp", "key", "warp", "key"]}


def test_all_sources_are_told_to_end_before_one_is_waited_for(tmp_path, monkeypatch):
    """Each may take seconds. Also those that were opened before one that is refused are closed."""
    log = []

    def open_logged(text, settings):
        source = open_source(text, settings)
        monkeypatch.setattr(source, "interrupt", lambda: log.append("interrupt"))
        monkeypatch.setattr(source, "close", lambda: log.append("close"))
        return source

    monkeypatch.setattr(run_streams, "open_source", open_logged)

    assert main(["run", str(tmp_path / "none"), *CLIPS]) == 1
    assert log == [*["interrupt"] * 3, *["close"] * 3]
    log.clear()
    assert main(["run", str(tmp_path / "none"), CLIPS[0], "http://camera/"]) == 2
    assert log == ["close"]


def test_one_that_cannot_be_opened_leaves_the_others(bundle, tmp_path, capsys):
    """It is told, and the exit code is 1."""
    lines = tmp_path / "all.jsonl"

    assert main(["run", str(bundle), "missing.mp4", CLIPS[0], "--jsonl", str(lines), *OPTIONS]) == 1

    assert Counter(record["stream"] for record in lines_of(lines)) == {1: 6}
    assert "stream 0 cannot be opened, the others go on: there is no file or folder 'missing.mp4'" in capsys.readouterr().err


class LateCamera(FakeCapture):
    """Away for the first attempts, then it gives pictures without end, at the pace of its clock."""

    name = "late camera"

    def __init__(self, refusals: int) -> None:
        super().__init__([*[Refused()] * refusals, *[Shot(np.full((48, 64, 3), k, np.uint8)) for k in range(100)]], FakeClock())


def test_a_camera_that_is_away_at_the_start_joins_the_others(bundle, tmp_path, capsys, monkeypatch):
    """Its second attempt comes without a wait and fails, the third works; it is told both times, and its outputs are as the others'."""
    camera, lines = LateCamera(2), tmp_path / "all.jsonl"
    monkeypatch.setattr("edgeseg.sources.camera.CameraCapture", lambda _text: camera)
    options = ["--out", f"{tmp_path}/out/", "--jsonl", str(lines), "--max-frames", "4", "--when-late", "wait", *OPTIONS]

    assert main(["run", str(bundle), CLIPS[0], "7", *options]) == 0

    assert Counter(record["stream"] for record in lines_of(lines)) == {0: 4, 1: 4}
    told = capsys.readouterr().err
    away = "stream 1 is not there yet, and is tried again while the others run: late camera cannot be opened."
    assert told.index(away) < told.index("late camera is connected after 0.5 s")
    with open_source(tmp_path / "out" / "1.mp4") as video:
        assert video.info.frame_count == 4


def test_cameras_that_are_all_away_are_an_error_at_once(bundle, capsys, monkeypatch):
    """Nothing would run: the addresses may be wrong, and a service manager knows when to start again."""
    cameras = [LateCamera(9), LateCamera(9)]
    monkeypatch.setattr("edgeseg.sources.camera.CameraCapture", lambda text: cameras[int(text)])

    assert main(["run", str(bundle), "0", "1", *OPTIONS]) == 1

    assert [camera.openings for camera in cameras] == [1, 1]
    assert capsys.readouterr().err.splitlines()[-1] == "edgeseg: error: late camera cannot be opened."


def test_what_will_not_come_is_not_tried_again(bundle, capsys, monkeypatch):
    """A pipeline's end may be meant, and no waiting brings a part of OpenCV: both have failed, and are opened once."""
    pipeline, asked = LateCamera(1), []

    def lacking(_text):
        asked.append(1)
        raise MissingDependencyError("a part is missing")

    monkeypatch.setattr("edgeseg.sources.gstreamer.capture", lambda *_: pipeline)
    monkeypatch.setattr("edgeseg.sources.camera.CameraCapture", lacking)

    assert main(["run", str(bundle), CLIPS[0], "v4l2src ! appsink", "7", "--max-frames", "1", *OPTIONS]) == 1

    assert (pipeline.openings, len(asked)) == (1, 1)
    told = capsys.readouterr().err
    assert "stream 1 cannot be opened, the others go on: late camera cannot be opened." in told
    assert "stream 2 cannot be opened, the others go on: a part is missing" in told
    assert "not there yet" not in told


def test_a_camera_is_away_before_it_is_connected(bundle, capsys, monkeypatch):
    """Messages have that order also where it comes in the moment in which it is tried again."""
    grabbed = threading.Event()

    class Quick(LateCamera):
        def grab(self):
            grabbed.set()
            return super().grab()

    def open_slowly(text, settings):
        source = open_source(text, settings)
        assert not settings.may_be_away or grabbed.wait(60)
        return source

    camera = Quick(1)
    monkeypatch.setattr("edgeseg.sources.camera.CameraCapture", lambda _text: camera)
    monkeypatch.setattr(run_streams, "open_source", open_slowly)

    assert main(["run", str(bundle), CLIPS[0], "7", "--max-frames", "1", *OPTIONS]) == 0

    told = capsys.readouterr().err
    assert told.index("stream 1 is not there yet") < told.index("late camera is connected after 0.0 s")


def test_sources_are_opened_at_the_same_time(bundle, monkeypatch):
    """Each of them waits until the other is being opened too."""
    both = threading.Barrier(2, timeout=60)

    def open_together(text, settings):
        both.wait()
        return open_source(text, settings)

    monkeypatch.setattr(run_streams, "open_source", open_together)

    assert main(["run", str(bundle), *CLIPS[:2], "--max-frames", "1", *OPTIONS]) == 0


def test_a_signal_does_not_wait_for_a_camera_that_is_being_opened(bundle, tmp_path, capsys, monkeypatch):
    """A driver may take long, or for ever. Nothing is written."""
    goes_on = threading.Event()

    def open_one(text, settings):
        if text == CLIPS[1]:
            os.kill(os.getpid(), signal.SIGTERM)
            goes_on.wait(60)
        return open_source(text, settings)

    monkeypatch.setattr(run_streams, "open_source", open_one)

    assert main(["run", str(bundle), *CLIPS[:2], "--jsonl", str(tmp_path / "a.jsonl"), *OPTIONS]) == 143

    assert not goes_on.is_set()
    assert list(tmp_path.glob("*.jsonl")) == []
    goes_on.set()


def test_one_that_fails_half_way_leaves_the_others(tmp_path, capsys):
    """A folder whose second picture does not fit the model; its first one is there, and named like the original."""
    bundle, pictures = tiny_bundle(tmp_path / "b", family="maskrcnn", fit="same_shape"), tmp_path / "pictures"
    pictures.mkdir()
    for name, hw in (("1.png", (20, 20)), ("2.png", (30, 20)), ("3.png", (20, 20))):
        opencv().imwrite(str(pictures / name), np.zeros((*hw, 3), np.uint8))
    clip, lines = "synthetic:seed=1,frames=4,size=64x64", tmp_path / "all.jsonl"

    assert main(["run", str(bundle), clip, str(pictures), "--out", f"{tmp_path}/out", "--jsonl", str(lines), *OPTIONS]) == 1

    assert Counter(record["stream"] for record in lines_of(lines)) == {0: 4, 1: 1}
    assert [path.name for path in (tmp_path / "out" / "1-pictures").iterdir()] == ["1.png"]
    with open_source(tmp_path / "out" / "0.mp4") as video:
        assert video.info.frame_count == 4
    told = capsys.readouterr().err
    assert "stream 1 failed, the others go on: frame 1 (2.png) cannot be segmented" in told
    assert "Traceback" not in told


def test_each_stream_has_its_maps(tmp_path):
    """A folder for each, and lines that name its files."""
    bundle, lines = tiny_bundle(tmp_path / "b", family="panoptic"), tmp_path / "all.jsonl"

    command = ["run", str(bundle), *CLIPS[:2], "--panoptic-dir", f"{tmp_path}/maps", "--jsonl", str(lines), "--max-frames", "2"]
    assert main([*command, *OPTIONS]) == 0

    for number in (0, 1):
        held = sorted(path.name for path in (tmp_path / "maps" / str(number)).iterdir())
        assert held == ["000000.png", "000001.png", "panoptic.json"]
    assert [(record["stream"], record["panoptic"]["file"]) for record in lines_of(lines)] == [
        (0, "000000.png"),
        (1, "000000.png"),
        (1, "000001.png"),
        (0, "000001.png"),
    ]


def test_each_stream_has_its_detections(bundle, tmp_path):
    """A COCO file for each in the folder, with the numbers of its own frames."""
    assert main(["run", str(bundle), *CLIPS[:2], "--coco", f"{tmp_path}/found", "--max-frames", "3", *OPTIONS]) == 0

    for number in (0, 1):
        records = json.loads((tmp_path / "found" / f"{number}.json").read_text())
        assert [record["image_id"] for record in records] == [0, 0, 1, 1, 2, 2]
    assert len(list((tmp_path / "found").iterdir())) == 2


def test_all_streams_are_on_one_page(bundle, tmp_path, capsys, monkeypatch):
    """Those that run and one that could not be opened; each frame reaches its own part, and one that fails says so there."""
    pages = []

    class Watched(WebPage):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            pages.append(self)

    def refuse(capture):
        raise SourceError(f"{capture.name} cannot be opened")

    monkeypatch.setattr("edgeseg.cli.serve.WebPage", Watched)
    monkeypatch.setattr(RtspCapture, "open", refuse)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    opencv().imwrite(str(pictures / "1.png"), np.zeros((20, 20, 3), np.uint8))
    (pictures / "2.png").write_bytes(b"damaged")
    options = ["--serve", "127.0.0.1:0", "--reconnect", "never", *OPTIONS]

    assert main(["run", str(bundle), "rtsp://user:secret@camera/", CLIPS[0], str(pictures), *options]) == 1

    shows = {number: sink._show for number, sink in enumerate(pages[0].sinks)}
    assert {number: show.condition().kind for number, show in shows.items()} == {0: "failed", 1: "ended", 2: "failed"}
    assert [shows[number].gallery.newest[0].index for number in (1, 2)] == [5, 0]
    assert [show.channel.source for show in shows.values()] == ["rtsp://***@camera/", "synthetic:seed=1", str(pictures)]
    assert "2.png" in shows[2].condition().says
    told = capsys.readouterr().err
    assert re.search(r"^web page http://127\.0\.0\.1:\d+/$", told, re.MULTILINE)
    assert "secret" not in told + str([(show.channel.source, show.condition()) for show in shows.values()])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--overlap", "--schedule", "fixed:5"], 2, "Leave --overlap out, or run one source"),
        (["--out", "TMP/out.mp4"], 2, "--out TMP/out.mp4 is one file for 2 sources. Give a folder"),
        (["--coco", "TMP/out.json"], 2, "--coco TMP/out.json is one file for 2 sources. Give a folder"),
        (["--serve", "nonsense"], 2, "give PORT or HOST:PORT"),
        (["--record-dir", "TMP"], 2, "Give --serve HOST:PORT as well"),
        (["--out", "TMP/missing/out/"], 1, "mkdir -p"),
        (["--schedule", "never"], 2, "there is no schedule 'never'"),
        (["--jsonl", "TMP/a", "--out", "TMP/a"], 2, "would overwrite the source or another output"),
    ],
)
def test_what_cannot_work_is_one_message_and_a_code(bundle, tmp_path, capsys, arguments, code, message):
    """And nothing is left behind."""
    before = sorted(tmp_path.rglob("*"))

    assert main(["run", str(bundle), *CLIPS[:2], *[argument.replace("TMP", str(tmp_path)) for argument in arguments], *OPTIONS]) == code

    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("edgeseg: error: ")
    assert message.replace("TMP", str(tmp_path)) in error
    assert sorted(tmp_path.rglob("*")) == before


def test_no_source_at_all_is_the_first_ones_error(bundle, capsys):
    """As with one source."""
    assert main(["run", str(bundle), "a.mp4", "b.mp4", *OPTIONS]) == 1

    assert capsys.readouterr().err.splitlines()[-1].startswith("edgeseg: error: there is no file or folder 'a.mp4'")
