"""What the page shows and what its viewers may change."""

from __future__ import annotations

import asyncio

import pytest

from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks.web.show import SILENT_S, Channel, Show
from edgeseg.sources import open_source


class Clock:
    """Seconds that only tests advance."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_run_is_ill_without_frames(make_frame, make_result):
    """Before the first frame, and when none came for longer than the limit."""
    clock = Clock()
    show = Show(clock=clock)
    assert show.illness() == "no frame yet"

    show.put(make_frame(), make_result())
    clock.now_s += SILENT_S
    assert show.illness() is None
    clock.now_s += 2
    assert show.illness() == "no frame for 12 s"


def test_recording_starts_and_stops_once(tmp_path, make_frame, make_result):
    """A second start or stop does nothing; the file plays at the rate of the run and its name is told."""
    clock = Clock()
    show = Show(tmp_path, clock)

    def put(count):
        for _ in range(count):
            show.put(make_frame(), make_result())
            clock.now_s += 0.1

    put(3)
    assert show._recording_facts() == {"on": False}
    for on in (True, True):
        show.record(on)
    put(4)
    for on in (False, False):
        show.record(on)
    put(2)
    show.record(True)
    put(1)
    show.close()

    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    counts = []
    for file in files:
        with open_source(file) as source:
            counts.append((sum(1 for _ in source), source.info.fps))
    assert counts == [(4, pytest.approx(10.0)), (1, pytest.approx(10.0))]


@pytest.mark.parametrize(("pause_s", "fps"), [(1 / 221.4937, 221.5), (1e-6, 240.0), (30.0, 1.0), (1 / 29.97, 30.0)])
def test_odd_rates_can_be_recorded(tmp_path, make_frame, make_result, pause_s, fps):
    """The codec takes whatever rate a run has."""
    clock = Clock()
    show = Show(tmp_path, clock)
    for _ in range(3):
        show.put(make_frame(), make_result())
        clock.now_s += pause_s
    show.record(True)
    show.put(make_frame(), make_result())
    show.close()

    with open_source(next(tmp_path.iterdir())) as source:
        assert source.info.fps == pytest.approx(fps)


def test_facts_hold_state_and_recording(tmp_path, make_frame, make_result):
    """Beside those of the frame: number, rate, drops, limit and recording."""
    show = Show(tmp_path, Clock())
    show.put(make_frame(2), make_result(index=2))
    show.put(make_frame(4), make_result(index=4))
    show.record(True)
    facts = show.facts(asyncio.run(show.gallery.after(0)))
    show.close()

    assert [facts[name] for name in ("number", "frame", "drops", "least", "rate")] == [1, 4, 1, 0.0, None]
    assert {name: facts["recording"][name] for name in ("on", "frames", "missed", "error")} == {
        "on": True,
        "frames": 0,
        "missed": 0,
        "error": None,
    }
    assert facts["recording"]["file"].endswith("-1.mp4")


def test_recording_needs_its_folder(tmp_path):
    """Without one nothing can be recorded; one that does not exist is an error at the start."""
    show = Show()

    assert show._recording_facts() is None
    with pytest.raises(UsageError, match="--record-dir"):
        show.record(True)
    with pytest.raises(SinkError, match="mkdir -p"):
        Show(tmp_path / "none")


def test_a_stream_whose_outputs_fail_at_its_end_has_failed():
    """What goes wrong while they are finished comes after the end; the first failure stays."""
    show = Show()
    show.close()
    show.fail("the disk is full")
    show.fail("again")
    show.close()

    assert (show.condition().says, show.illness()) == ("failed: the disk is full", "failed")


def test_failed_recording_is_an_error_at_the_end(tmp_path, make_frame, make_result):
    """Who started the run learns of it as well; closing again is fine."""
    show = Show(tmp_path, Clock())
    show.record(True)
    show.put(make_frame(), make_result())
    show.put(make_frame(1, (48, 64)), make_result((), (48, 64), 1))

    with pytest.raises(SinkError, match="size of the picture changed"):
        show.close()
    show.close()


def test_failed_recording_is_not_forgotten_for_a_good_one(tmp_path, make_frame, make_result):
    """Another one that works does not hide it from who started the run."""
    show = Show(tmp_path, Clock())
    show.record(True)
    show.put(make_frame(), make_result())
    show.put(make_frame(1, (48, 64)), make_result((), (48, 64), 1))
    show._recordings[-1]._thread.join()
    show.record(True)
    show.put(make_frame(), make_result())

    with pytest.raises(SinkError, match="size of the picture changed"):
        show.close()
    show.close()


def test_condition_says_how_a_stream_is(make_frame, make_result):
    """Waiting, live, silent, lost and, before all else, the first end that it came to; health keeps the reason of a failure to itself."""
    clock, lost = Clock(), []
    show = Show(clock=clock, channel=Channel(3, "camera", lambda: bool(lost)))
    seen = [show.condition()]
    show.put(make_frame(), make_result())
    seen.append(show.condition())
    clock.now_s += SILENT_S + 1
    seen.append(show.condition())
    lost.append(True)
    seen.append(show.condition())
    show.fail("the cable is out")
    show.close()
    seen.append(show.condition())

    assert [(condition.kind, condition.is_over) for condition in seen] == [
        ("waiting", False),
        ("live", False),
        ("silent", False),
        ("lost", False),
        ("failed", True),
    ]
    assert seen[-1].says == "failed: the cable is out"
    assert show.illness() == "failed"


def test_end_of_a_stream_is_no_illness(tmp_path, make_frame, make_result):
    """A file that was read to its end is fine, and nothing more can be recorded of it."""
    show = Show(tmp_path, channel=Channel(0, "clip.mp4"))
    show.put(make_frame(), make_result())
    show.close()

    assert (show.condition().kind, show.illness()) == ("ended", None)
    with pytest.raises(UsageError, match="nothing to record: the stream has ended"):
        show.record(True)
    assert list(tmp_path.iterdir()) == []


def test_recordings_of_streams_have_names_of_their_own(tmp_path, make_frame, make_result):
    """Two streams that are recorded in the same second write two files, which say whose they are."""
    shows = [Show(tmp_path, channel=Channel(number, "clip")) for number in (0, 12)]
    for show in shows:
        show.record(True)
        show.put(make_frame(), make_result())
        show.close()

    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("-")[:2] for name in names] == [["edgeseg", "0"], ["edgeseg", "12"]]
