"""Live sources on a device and a clock that do what a script says."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import SourceError, UsageError
from edgeseg.sources.base import SourceCounts
from edgeseg.sources.fake import FakeCapture, FakeClock, Lost, Refused, Shot
from edgeseg.sources.live import BACK_OFF_S, LiveSource
from edgeseg.sources.settings import FOREVER, LiveSettings

RANDOM_CASES = 1000


def shot(value=0, after_s=0.1, hw=(4, 6)):
    return Shot(np.full((*hw, 3), value, np.uint8), after_s)


class Careful(FakeCapture):
    """A device that two cannot hold at once."""

    def open(self):
        assert not self.is_open
        return super().open()


class Stage:
    """A live source with all that is made up around it."""

    def __init__(self, *script, **settings):
        self.clock, self.notes = FakeClock(), []
        self.capture = Careful(script, self.clock)
        settings = LiveSettings(**{"stall_s": 5.0, "reconnect": 0, "note": self.notes.append, **settings})
        self.source = LiveSource(self.capture, settings, clock=self.clock, wait=self.clock.wait)
        self.frames = []

    def play(self):
        """Frames until the script ends, which with a limited number of attempts is an error."""
        with self.source, pytest.raises(SourceError) as caught:
            self.frames.extend(self.source)
        return str(caught.value)


def test_frames_carry_the_time_at_which_each_came():
    """Capture time is taken right after the grab, stream time begins with the first frame."""
    stage = Stage(shot(1, 0.5), shot(2, 0.25))
    error = stage.play()

    assert [(frame.index, frame.captured_s, frame.time_s) for frame in stage.frames] == [(0, 0.5, 0.0), (1, 0.75, 0.25)]
    assert (stage.source.info.name, stage.source.info.fps) == ("made-up camera", 30.0)
    assert error == "made-up camera ended or was lost. --reconnect allows no new attempt."
    assert not stage.capture.is_open


def test_a_device_that_is_absent_at_the_start_is_an_error():
    """However often a lost connection would be tried again: a wrong name must not look like waiting."""
    with pytest.raises(SourceError, match="made-up camera cannot be opened"):
        Stage(Refused(), shot(), reconnect=FOREVER)


def test_a_device_that_may_be_away_is_waited_for():
    """It counts as lost until it is there, which is told and is no reconnection; after that it is as any other."""
    stage = Stage(Refused(after_s=1.0), Refused(), shot(1), Lost(), shot(2), reconnect=3, may_be_away=True)
    assert (stage.capture.openings, stage.source.is_lost, stage.source.info.fps) == (0, True, None)
    stage.play()

    assert [(frame.index, frame.reconnects, frame.time_s) for frame in stage.frames] == [(0, 0, 0.0), (1, 1, pytest.approx(0.1))]
    assert stage.notes[:3] == [
        f"made-up camera is connected after {1.0 + sum(BACK_OFF_S[:3]):.1f} s",
        "made-up camera gives no new pictures; connecting anew",
        "made-up camera is connected again after 0.0 s",
    ]


def test_a_device_that_may_be_away_and_never_comes_is_an_error():
    """After as many attempts as are allowed; without any it must be there at once."""
    error = Stage(*[Refused()] * 2, shot(), reconnect=2, may_be_away=True).play()

    assert error == "made-up camera did not come in 2 attempts. made-up camera cannot be opened."
    with pytest.raises(SourceError, match="made-up camera cannot be opened"):
        Stage(Refused(), shot(), reconnect=0, may_be_away=True)


def test_a_lost_connection_is_made_anew_with_growing_waits():
    """Attempts follow after 0, 0.5, 1 and then 2 seconds; frames go on counting and say that there was a break."""
    stage = Stage(shot(1), Lost(), *[Refused()] * 5, shot(2), reconnect=6)
    stage.play()

    assert [(frame.index, frame.reconnects) for frame in stage.frames] == [(0, 0), (1, 1)]
    waited_s = sum(BACK_OFF_S) + 2 * BACK_OFF_S[-1]
    assert stage.frames[1].captured_s == pytest.approx(0.2 + waited_s)
    assert stage.notes[:2] == [
        "made-up camera gives no new pictures; connecting anew",
        f"made-up camera is connected again after {waited_s:.1f} s",
    ]
    assert stage.source.counts == SourceCounts(reconnects=1)


def test_it_is_lost_while_it_is_connected_anew():
    """Not before, not after; seen by what waits between the attempts."""
    stage, seen = Stage(shot(1), Lost(), Refused(), shot(2), reconnect=2), []
    stage.source._wait = lambda seconds: seen.append(stage.source.is_lost) or stage.clock.wait(seconds)
    frames = iter(stage.source)

    next(frames)
    assert not stage.source.is_lost
    next(frames)

    assert (seen, stage.source.is_lost) == ([True, True], False)


def test_attempts_are_counted_in_a_row():
    """A picture in between allows all attempts again; as many without one are an error that says why the last one failed."""
    stage = Stage(shot(), Lost(), Refused(), shot(), Lost(), Refused(), shot(), reconnect=2)
    error = stage.play()

    assert len(stage.frames) == 3
    assert error == "made-up camera ended or was lost, and did not come back in 2 attempts. made-up camera cannot be opened."


def test_connections_without_a_picture_do_not_count_as_back():
    """A server that lets connect and then gives nothing is tried with the same growing waits and limit."""
    stage = Stage(shot(), Lost(), Lost(), Lost(), shot(), reconnect=2)
    error = stage.play()

    assert len(stage.frames) == 1
    assert "did not come back in 2 attempts" in error
    assert stage.clock.now_s == pytest.approx(0.1 + BACK_OFF_S[0] + BACK_OFF_S[1])


def test_a_stall_is_a_lost_connection():
    """What comes after too long a silence is not handed out as new: the connection is made anew."""
    stage = Stage(shot(1), shot(2, after_s=5.0), shot(3), reconnect=1)
    stage.play()

    assert [frame.pixels[0, 0, 0] for frame in stage.frames] == [1, 3]
    assert stage.capture.openings == 2 + 1


def test_the_time_that_the_reader_takes_is_no_stall():
    """Whoever reads may take as long as he likes."""
    stage = Stage(shot(1), shot(2), reconnect=0)
    with stage.source:
        frames = iter(stage.source)
        next(frames)
        stage.clock.wait(60.0)

        assert next(frames).pixels[0, 0, 0] == 2


def test_damaged_pictures_are_left_out_until_they_are_a_stall():
    """One damaged picture is skipped; nothing else for the time of a stall is a lost connection."""
    stage = Stage(shot(1), Shot(None, 1.0), shot(2), *[Shot(None, 1.0)] * 5, shot(3), reconnect=1)
    stage.play()

    assert [(frame.pixels[0, 0, 0], frame.reconnects) for frame in stage.frames] == [(1, 0), (2, 0), (3, 1)]


def test_a_frozen_picture_is_reported_once_each_time():
    """The very same picture for the limit is told of once, and again when it freezes anew."""
    still = [shot(7, after_s=1.0)] * 12
    stage = Stage(*still, shot(99), *still, frozen_s=5.0)
    stage.play()

    assert len(stage.frames) == 25
    assert stage.notes == ["made-up camera has sent the same picture for 5 s. Does the camera hang?"] * 2
    assert stage.source.counts == SourceCounts(freezes=2)


def test_pictures_may_change_their_size():
    """Frames of another size follow as they come."""
    stage = Stage(shot(hw=(4, 6)), shot(hw=(8, 2)))
    stage.play()

    assert [frame.image_hw for frame in stage.frames] == [(4, 6), (8, 2)]


def test_interrupt_ends_the_wait_for_a_lost_device():
    """Closing does not wait for attempts to come, and is no error."""
    clock = FakeClock()
    capture = FakeCapture([shot(), Lost()], clock)
    source = LiveSource(capture, LiveSettings(reconnect=FOREVER, note=lambda _: source.interrupt()), clock=clock)

    assert len(list(source)) == 1
    assert capture.openings == 1


@pytest.mark.parametrize("wrong", [{"when_late": "never"}, {"reconnect": -1}, {"stall_s": 0.0}, {"frozen_s": float("nan")}])
def test_wrong_settings_are_wrong_usage(wrong):
    """Settings that cannot work are refused when they are made."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        LiveSettings(**wrong)


def test_any_script_gives_its_pictures_in_order():
    """Whatever happens, pictures come once, in order, never after a stall, and the device is closed and opened by turns."""
    rng = np.random.default_rng(7)
    for _ in range(RANDOM_CASES):
        kinds = rng.choice(4, size=12, p=[0.6, 0.2, 0.1, 0.1])
        made = (shot, lambda _: Lost(), lambda _: Refused(), lambda i: shot(i, after_s=6.0))
        script = [made[kind](i) for i, kind in enumerate(kinds)]
        expected = [i for i, kind in enumerate(kinds) if kind == 0]
        stage = Stage(shot(255), *script, reconnect=20)
        stage.play()

        assert [int(frame.pixels[0, 0, 0]) for frame in stage.frames[1:]] == expected
        assert [frame.index for frame in stage.frames] == list(range(len(expected) + 1))
        restarts = [frame.reconnects for frame in stage.frames]
        assert restarts == sorted(restarts)
        assert not stage.capture.is_open
