"""What a run tells while it runs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from edgeseg.cli import Logs, main
from edgeseg.cli import progress as progress_module
from edgeseg.cli import status as module
from edgeseg.cli.status import StreamStatus, status
from edgeseg.sources.base import SourceCounts, SourceInfo
from edgeseg.sources.fake import FakeClock
from edgeseg.types import Result, Step


def make_stream(clock, name="camera 0", frame_count=None, max_frames=None, counts=None) -> StreamStatus:
    source = SimpleNamespace(info=SourceInfo(name, frame_count=frame_count), counts=counts or SourceCounts(), is_lost=False)
    return StreamStatus(name, source, max_frames, clock)


def made(index: int = 0) -> Result:
    return Result(index, Step.PROPAGATE, (), (4, 4), age_s=0.0352)


def test_a_stream_says_how_it_is_doing(make_result):
    """Frame, where its end is not known, rate, step, age and instances; of a live one what was dropped and how often it was lost."""
    clock = FakeClock()
    stream = make_stream(clock, counts=SourceCounts(dropped=12, reconnects=2))
    assert str(stream) == "no frame yet"
    for index in (0, 3, 6):
        clock.wait(0.1)
        stream.see(replace(make_result(index=index), age_s=0.0352))

    assert str(stream) == "frame 6  10.0 frames/s  key        age 35 ms  1 instance  12 dropped  connected anew 2x"


def test_a_stream_that_is_silent_says_so():
    """Its rate goes down, and after two seconds the line says for how long nothing came, and whether it is lost."""
    clock = FakeClock()
    stream = make_stream(clock)
    for _ in range(5):
        clock.wait(0.25)
        stream.see(made())
    clock.wait(3.0)

    text = "frame 0  1.0 frames/s  propagate  age 35 ms  0 instances  no frame for 3 s"
    assert str(stream) == text
    stream._source.is_lost = True
    assert str(stream) == f"{text}, connecting anew"


def test_a_stream_whose_camera_has_not_come_yet_says_so():
    """As long as it is tried."""
    stream = make_stream(FakeClock())
    stream._source.is_lost = True

    assert str(stream) == "no frame yet, connecting"


def test_a_stream_that_has_ended_is_not_waited_for(make_result):
    """However long ago it was, and with its source still lost."""
    clock = FakeClock()
    stream, empty = make_stream(clock), make_stream(clock)
    stream.see(make_result(index=7))
    stream._source.is_lost = True
    for one in (stream, empty):
        one.end()
    clock.wait(60.0)

    assert (str(stream), str(empty)) == ("ended after frame 7", "ended without a frame")


@pytest.mark.parametrize(("count", "most", "total"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)])
def test_what_is_to_come_is_what_is_known(count, most, total):
    """Frames of a file, of --max-frames, or the fewer of both."""
    assert make_stream(FakeClock(), frame_count=count, max_frames=most).total == total


def test_without_a_terminal_each_stream_has_an_event_now_and_then(capsys):
    """Every ten seconds, with its figures as fields."""
    clock = FakeClock()
    streams = [make_stream(clock, "stream 0"), make_stream(clock, "stream 1", frame_count=100)]
    with Logs() as logs:
        logs.follow(SimpleNamespace(log_format="json", quiet=False, log_file=None))
        with status(streams, None, clock) as see:
            for index in range(21):
                clock.wait(1.0)
                for stream in streams:
                    see(stream, made(index))

    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(record["event"], record["stream"], record["frames"]) for record in told] == [
        ("run.status", f"stream {k}", frames) for frames in (10, 20) for k in (0, 1)
    ]
    assert told[-1]["message"].startswith("stream 1: 20/100 frames after 20 s  1.0 frames/s  propagate  age 35 ms")
    fields = {"total": 100, "lasted_s": 20.0, "frame": 19, "frames_per_s": 1.0, "step": "propagate", "age_s": 0.0352, "instances": 0}
    assert told[-1].items() >= {**fields, "dropped": 0, "reconnects": 0}.items()


class Bars:
    """Takes the place of rich's display."""

    def __init__(self):
        self.tasks, self.updates = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tasks.append("left")

    def add_task(self, name, *, total, detail):
        self.tasks.append((name, total, detail))
        return len(self.tasks) - 1

    def update(self, task, *, completed):
        self.updates.append((task, completed))


def test_a_terminal_is_drawn_on_at_most_four_times_a_second(monkeypatch):
    """However fast frames come; the last count is drawn at the end, also of a run that is stopped."""
    clock, shown = FakeClock(), Bars()
    monkeypatch.setattr(module, "bars", lambda **_: shown)
    stream = make_stream(clock, frame_count=5000)

    def play():
        with status([stream], None, clock) as see:
            for index in range(995):
                clock.wait(0.001)
                see(stream, made(index))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play()

    assert shown.tasks == [("camera 0", 5000, stream), "left"]
    assert len(shown.updates) == 3 + 1
    assert shown.updates[-1] == (0, 995)


def test_a_terminal_that_has_gone_hides_nothing(monkeypatch):
    """What ended the run is what is raised, not that the last line cannot be drawn any more."""

    class Gone(Bars):
        def __exit__(self, *_):
            raise OSError("Input/output error")

    monkeypatch.setattr(module, "bars", lambda **_: Gone())
    clock = FakeClock()

    with pytest.raises(KeyboardInterrupt), status([make_stream(clock)], None, clock):
        raise KeyboardInterrupt


@pytest.mark.parametrize(("jsonl", "terminal", "drawn"), [(None, True, True), ("-", True, False), ("-", False, True), ("a.x", True, True)])
def test_lines_of_results_on_a_terminal_take_the_place_of_the_line(monkeypatch, jsonl, terminal, drawn):
    """Both on one screen would break each other."""
    shown = Bars()
    monkeypatch.setattr(module, "bars", lambda **_: shown)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: terminal))
    clock = FakeClock()
    with status([make_stream(clock)], jsonl, clock):
        pass

    assert bool(shown.tasks) == drawn


def test_rich_draws_a_line_for_each_stream(capsys, monkeypatch):
    """On the standard error only; names with brackets are no markup; texts are those of the last frame."""
    pytest.importorskip("rich", reason="rich is not installed")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    clock = FakeClock()
    streams = [make_stream(clock, "stream [0]"), make_stream(clock, "stream [1]", frame_count=4)]
    with status(streams, None, clock) as see:
        for index in range(4):
            clock.wait(1.0)
            for stream in streams:
                see(stream, made(index))

    out, err = capsys.readouterr()
    assert out == ""
    for text in ("stream [0]", "stream [1]", "4/4", "frame 3  1.0 frames/s  propagate"):
        assert text in err


@pytest.mark.parametrize("options", [["--quiet"], ["--log-format", "json"]])
def test_nothing_moves_where_it_is_not_wanted(bundle, capsys, monkeypatch, options):
    """Quiet and JSON lines have no bar on a terminal either."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress_module, "_rich", lambda: pytest.fail("a bar"))
    command = ["run", str(bundle), "synthetic:seed=1,frames=2,size=64x48", "--backend", "onnxruntime", "--threads", "1", *options]

    assert main(command) == 0
    assert "frames/s  key" not in capsys.readouterr().err
