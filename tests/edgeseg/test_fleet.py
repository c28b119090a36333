"""Several streams in turns: who comes when, and what happens when one fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeseg.errors import BackendError, SinkError, SourceError
from edgeseg.fleet import POLL_S, Lane, Turn, Watcher, run_together
from edgeseg.sinks.base import Sink
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.types import Step


class Listed(Source):
    """Frames, or an error in their place; ready when its ``script`` says so, always without one."""

    def __init__(self, name, frames, script=None):
        self.info = SourceInfo(name)
        self.frames, self.script, self.interrupted = frames, script, False

    @property
    def ready(self):
        return self.script is None or next(self.script, True)

    def __iter__(self):
        for frame in self.frames:
            if isinstance(frame, Exception):
                raise frame
            yield frame

    def interrupt(self):
        self.interrupted = True


class Kept(Sink):
    """Remembers in a shared list who wrote what, and may fail."""

    def __init__(self, name, log, fails_at=None, stops_at=None, fails_to_close=False):
        self.name, self.log, self.fails_at, self.stops_at = name, log, fails_at, stops_at
        self.fails_to_close, self.closed = fails_to_close, 0

    def write(self, frame, _result):
        if frame.index == self.fails_at:
            raise SinkError("the disk is full")
        self.log.append((self.name, frame.index))
        self.wants_stop = frame.index == self.stops_at

    def close(self):
        self.closed += 1
        if self.fails_to_close:
            raise SinkError("the video cannot be finished")


class Passing:
    """A pipeline that finds the same in every frame, and may fail."""

    def __init__(self, make_result, fails_at=None):
        self.make_result, self.fails_at = make_result, fails_at

    def step(self, frame):
        if frame.index == self.fails_at:
            raise BackendError("the graph failed")
        return replace(self.make_result(index=frame.index), age_s=0.25 * frame.index, step=Step.KEY)


@pytest.fixture
def make_lane(make_frame, make_result):
    """A stream of ``count`` frames: ``make_lane(name, count, log, ...)``."""

    def make(name, count, log, *, script=None, error=None, graph_fails_at=None, **sink):
        frames = [*[make_frame(i) for i in range(count)], *([] if error is None else [error])]
        return Lane(name, Listed(name, frames, script), Passing(make_result, graph_fails_at), [Kept(name, log, **sink)])

    return make


def test_streams_take_turns_until_the_last_has_ended(make_lane):
    """One frame of each in a round, which another stream begins each time; one that has ended leaves its place to the others."""
    log = []
    lanes = [make_lane("a", 3, log), make_lane("b", 1, log), make_lane("c", 2, log)]

    run_together(lanes)

    assert log == [("a", 0), ("b", 0), ("c", 0), ("c", 1), ("a", 1), ("a", 2)]
    assert [lane.summary.frames for lane in lanes] == [3, 1, 2]
    assert [lane.turn.number for lane in lanes] == [2, 0, 1]
    assert all(lane.error is None and lane.source.interrupted for lane in lanes)
    assert list(lanes[0].age.recent_s) == [0.25, 0.5]


def test_a_stream_without_a_frame_is_passed_over(make_lane):
    """It holds up nobody, begins in the turn of the others, and nobody turns round for nothing."""
    log, waits = [], []
    first, second = iter([True, True, False, False, False, False]), iter([False] * 4)
    lanes = [make_lane("a", 2, log, script=first), make_lane("b", 2, log, script=second)]

    run_together(lanes, wait=waits.append)

    assert log == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert waits == [POLL_S] * 2
    assert lanes[1].turn.number == 2


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ({"count": 1, "error": SourceError("the camera is gone")}, "the camera is gone"),
        ({"count": 3, "fails_at": 1}, "the disk is full"),
        ({"count": 3, "graph_fails_at": 1}, "the graph failed"),
    ],
    ids=["source", "sink", "graph"],
)
def test_a_stream_that_fails_ends_alone(make_lane, failure, message):
    """It is told, its outputs are finished, and the others go on."""
    log, told = [], []
    lanes = [make_lane("a", log=log, **failure), make_lane("b", 3, log)]

    run_together(lanes, watcher=Watcher(on_failure=lambda lane: told.append((lane.name, str(lane.error)))))

    assert log == [("a", 0), ("b", 0), ("b", 1), ("b", 2)]
    assert told == [("a", message)]
    assert [lane.sinks[0].closed for lane in lanes] == [1, 1]
    assert lanes[1].error is None


def test_an_output_that_cannot_be_finished_is_a_failure_too(make_lane):
    """Of its stream alone, and told; one that failed before keeps its first error."""
    lanes = [make_lane("a", 1, [], fails_to_close=True), make_lane("b", 2, []), make_lane("c", 2, [], fails_at=0, fails_to_close=True)]
    told = []
    watcher = Watcher(on_failure=lambda lane: told.append(lane.name), on_end=lambda lane: told.append(f"{lane.name} ends"))

    run_together(lanes, watcher=watcher)

    assert told == ["c", "c ends", "a ends", "a", "b ends"]
    assert [str(lane.error) for lane in lanes] == ["the video cannot be finished", "None", "the disk is full"]


def test_a_mistake_in_the_code_is_not_hidden(make_lane):
    """What is no error of edgeseg's own ends everything."""
    with pytest.raises(ZeroDivisionError):
        run_together([make_lane("a", 1, [], error=ZeroDivisionError()), make_lane("b", 3, [])])


def test_a_sink_that_wants_to_stop_stops_all(make_lane):
    """Whoever looks at one window has had enough of all."""
    log = []
    run_together([make_lane("a", 5, log), make_lane("b", 5, log, stops_at=1), make_lane("c", 5, log)])

    assert log == [("a", 0), ("b", 0), ("c", 0), ("b", 1)]


def test_max_frames_is_for_each_stream(make_lane):
    """Two of each, and not one is asked for beyond."""
    log = []
    lanes = [make_lane("a", 5, log), make_lane("b", 2, log, error=SourceError("asked once too often"))]

    run_together(lanes, max_frames=2)

    assert log == [("a", 0), ("b", 0), ("b", 1), ("a", 1)]
    assert [lane.error for lane in lanes] == [None, None]


def test_every_frame_is_told_after_its_sinks(make_lane):
    """With its stream."""
    log, told = [], []
    run_together([make_lane("a", 2, log)], watcher=Watcher(lambda lane, result: told.append((lane.name, result.frame_index, len(log)))))

    assert told == [("a", 0, 1), ("a", 1, 2)]


def test_a_turn_tells_its_number():
    """To a schedule that asks."""
    assert Turn(3)() == 3
