"""The newest-frame reader, with threads that meet at gates and never at times."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.sources import LiveSettings, open_live
from edgeseg.sources.base import Source, SourceCounts, SourceInfo
from edgeseg.sources.fake import FakeCapture, FakeClock, Shot
from edgeseg.sources.latest import InTurn, Latest
from edgeseg.types import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Gated(Source):
    """Gives as many frames as it is told to, and notes what is done to it."""

    def __init__(self, error=None):
        self.info = SourceInfo("gated")
        self._allowed = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._end = self._closed = False
        self._error = error
        self.taken = threading.Semaphore(0)
        self.closings = 0

    def allow(self, count):
        """Let so many frames come, and wait until the reader has asked for the one after them."""
        for _ in range(count):
            self._allowed.release()
        for _ in range(count):
            assert self.taken.acquire(timeout=30)

    def finish(self):
        self._end = True
        self._allowed.release()

    def __iter__(self):
        index = 0
        while True:
            self._allowed.acquire()
            if self._end:
                break
            yield Frame(PICTURE, index, captured_s=float(index), time_s=float(index))
            self.taken.release()
            index += 1
        if self._error is not None:
            raise self._error

    def interrupt(self):
        self.finish()

    def close(self):
        self.closings += 1


def test_the_newest_frame_wins_and_the_others_are_counted():
    """Frames that came while nobody asked are replaced; numbers and times begin with the first that is taken."""
    gated = Gated()
    with Latest(gated) as source:
        frames = iter(source)
        gated.allow(5)
        first = next(frames)
        gated.allow(1)
        second = next(frames)
        gated.allow(6)
        third = next(frames)

        assert [frame.index for frame in (first, second, third)] == [0, 1, 7]
        assert [frame.time_s for frame in (first, second, third)] == [0.0, 1.0, 7.0]
        assert [frame.captured_s for frame in (first, second, third)] == [4.0, 5.0, 11.0]
        assert source.counts == SourceCounts(dropped=5)


def test_a_frame_is_taken_once():
    """Whoever asks again waits for another frame; the end comes after the last."""
    gated = Gated()
    with Latest(gated) as source:
        frames = iter(source)
        gated.allow(2)
        next(frames)
        gated.finish()

        assert list(frames) == []


def test_an_error_reaches_whoever_reads_after_the_last_frame():
    """What goes wrong on the thread is raised where frames are taken, once those that came are."""
    gated = Gated(SourceError("unplugged"))
    with Latest(gated) as source:
        frames = iter(source)
        gated.allow(1)
        gated.finish()
        source._thread.join()
        next(frames)
        with pytest.raises(SourceError, match="unplugged"):
            next(frames)

    assert gated.closings == 1


def test_in_turn_each_frame_waits_until_it_is_taken():
    """None is dropped, and whether there is one can be asked without waiting for the device."""
    gated = Gated()
    with InTurn(gated) as source:
        frames = iter(source)
        assert not source.ready
        gated.allow(1)
        assert source.ready
        for _ in range(3):
            gated._allowed.release()

        assert [next(frames).index for _ in range(4)] == [0, 1, 2, 3]
        assert not source.ready
        assert source.counts == SourceCounts()


def test_a_source_that_hangs_is_given_up_after_the_limit():
    """The frames before it count; the error names the source, and closing it ends its thread."""
    gated = Gated()
    with InTurn(gated, limit_s=0.05) as source:
        gated.allow(1)
        frames = iter(source)
        assert next(frames).index == 0
        with pytest.raises(SourceError, match=r"^gated gave no frame for 0\.05 s\. Is the file damaged"):
            next(frames)

    assert gated.closings == 1


def test_in_turn_closing_does_not_wait_for_a_reader():
    """The thread ends though nobody takes what it holds."""
    gated = Gated()
    source = InTurn(gated)
    gated.allow(1)
    gated._allowed.release()
    source.interrupt()
    source._thread.join(30)

    assert not source._thread.is_alive()
    assert gated.closings == 1


@pytest.mark.parametrize("taken", [0, 1])
def test_close_ends_the_thread_and_frees_the_device(taken):
    """Whether or not a frame was ever taken, nothing is left; closing twice is fine."""
    gated = Gated()
    source = Latest(gated)
    gated.allow(1)
    for _, _frame in zip(range(taken), source, strict=False):
        pass
    source.close()
    source.close()

    assert gated.closings == 1
    assert [thread.name for thread in threading.enumerate() if thread.name == "edgeseg-latest"] == []


def test_a_reader_that_fails_frees_the_device():
    """An error of whoever reads closes everything as well."""
    gated = Gated()
    source = Latest(gated)
    gated.allow(1)
    with pytest.raises(ZeroDivisionError), source:
        _ = 1 / next(iter(source)).index

    assert gated.closings == 1


def test_the_policy_decides_whether_a_live_source_drops():
    """``drop`` gives the newest picture, ``wait`` every one in turn."""
    captures = [FakeCapture([Shot(PICTURE)] * 3, FakeClock()) for _ in range(2)]
    with (
        open_live(captures[0], LiveSettings(when_late="drop")) as dropping,
        open_live(captures[1], LiveSettings(when_late="wait")) as waiting,
    ):
        assert (type(dropping), type(waiting)) == (Latest, InTurn)
        frames = []
        with pytest.raises(SourceError, match="ended or was lost"):
            frames.extend(frame for frame in waiting)
        with pytest.raises(SourceError, match="ended or was lost"):
            list(dropping)
        assert [frame.index for frame in frames] == [0, 1, 2]

    assert [capture.is_open for capture in captures] == [False, False]
