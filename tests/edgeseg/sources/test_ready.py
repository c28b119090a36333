"""Whether a source lets its reader wait."""

from __future__ import annotations

from threading import Event

from edgeseg.sources import open_source
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.sources.latest import Latest


class Gated(Source):
    """Gives a frame when told to, and ends when told to."""

    info = SourceInfo("gated")

    def __init__(self, frame):
        self.frame, self.may_give, self.has_given, self.may_end = frame, Event(), Event(), Event()

    def __iter__(self):
        self.may_give.wait()
        yield self.frame
        self.has_given.set()
        self.may_end.wait()

    def interrupt(self):
        self.may_give.set()
        self.may_end.set()


def test_a_file_is_always_ready():
    """It never waits for anything but the disk."""
    with open_source("synthetic:frames=1,size=64x48") as source:
        assert source.ready


def test_a_live_source_is_ready_when_it_holds_a_frame_or_has_ended(make_frame):
    """Not before the first, not after it was taken, and again when nothing more will come."""
    gated = Gated(make_frame())
    with Latest(gated) as source:
        frames = iter(source)
        assert not source.ready
        gated.may_give.set()
        gated.has_given.wait()
        assert source.ready
        next(frames)
        assert not source.ready
        gated.may_end.set()
        assert next(frames, None) is None
        assert source.ready
