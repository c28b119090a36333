"""Several streams on one model: in turns, so that none waits for another's second frame and none falls with another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from edgeseg.errors import EdgesegError
from edgeseg.pipeline import Pipeline
from edgeseg.sinks.base import Sink
from edgeseg.sources.base import Source
from edgeseg.stream import WARM_UP_FRAMES, StageTimes, Summary
from edgeseg.types import Frame, Result

POLL_S = 0.001
"""How long to wait when no stream has a frame."""


@dataclass
class Turn:
    """Which turn a stream is in: 0 for the first frame of the streams that began together."""

    number: int = 0

    def __call__(self) -> int:
        """The number, for `edgeseg.schedule.staggered`."""
        return self.number


@dataclass(eq=False)
class Lane:
    """One of several streams: where its frames come from and its results go, and what became of it."""

    name: str
    source: Source
    pipeline: Pipeline
    sinks: Sequence[Sink] = ()
    turn: Turn = field(default_factory=Turn)
    summary: Summary = field(default_factory=Summary)
    age: StageTimes = field(default_factory=StageTimes)
    """From capture to result, after the warm-up."""
    error: EdgesegError | None = None
    """Why it ended before its source did."""


@dataclass(frozen=True)
class Watcher:
    """Who is told what happens."""

    on_frame: Callable[[Lane, Result], None] = lambda _lane, _result: None
    on_failure: Callable[[Lane], None] = lambda _lane: None
    """Also where only its outputs could not be finished."""
    on_end: Callable[[Lane], None] = lambda _lane: None
    """After its last frame, failure or not."""


def run_together(
    lanes: Sequence[Lane],
    *,
    max_frames: int | None = None,
    watcher: Watcher | None = None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Send frames of all streams through the model they share until the last stream has ended.

    In each round every stream that has a frame gets one through, its newest if it is live; another stream is the first in each, because
    cameras that take their pictures together wait for those before them. A stream that fails ends alone: its error is
    kept, its outputs are finished, the others go on. A sink that wants to stop stops all. The caller closes sources, sinks and pipelines.

    Args:
        lanes: the streams.
        max_frames: of each stream.
        watcher: is told of every frame, after its sinks, and of every end and failure.
        clock: monotonic seconds.
        wait: sleeps, where no stream has a frame.
    """
    watcher = watcher or Watcher()
    runners = [_Runner(lane, iter(lane.source), clock) for lane in lanes]
    rounds = 0
    while runners:
        ready = [runner for runner in runners if runner.lane.source.ready]
        if not ready:
            wait(POLL_S)
            continue
        first = rounds % len(ready)
        rounds += 1
        for runner in ready[first:] + ready[:first]:
            turn = max((other.lane.turn.number for other in runners if other.began), default=0)
            goes_on = runner.advance(turn, watcher) and runner.lane.summary.frames != max_frames
            if any(sink.wants_stop for sink in runner.lane.sinks):
                return
            if not goes_on:
                runners.remove(runner)
                runner.finish(watcher)


@dataclass(eq=False)
class _Runner:
    """A stream under way."""

    lane: Lane
    frames: Iterator[Frame]
    clock: Callable[[], float]
    began: bool = False
    begin_s: float = 0.0

    def advance(self, turn: int, watcher: Watcher) -> bool:
        """Take one frame through; False if there is none, or it failed. ``turn`` is that of the others, for a stream that begins late."""
        if not self.began:
            self.begin_s = self.clock()
        try:
            frame = next(self.frames, None)
            if frame is None:
                return False
            self.lane.turn.number = self.lane.turn.number + 1 if self.began else turn
            self.began = True
            watcher.on_frame(self.lane, self._process(frame))
        except EdgesegError as error:
            self.lane.error = error
            watcher.on_failure(self.lane)
            return False
        return True

    def _process(self, frame: Frame) -> Result:
        read_s, lane = self.clock(), self.lane
        result = lane.pipeline.step(frame)
        stepped_s = self.clock()
        for sink in lane.sinks:
            sink.write(frame, result)
        now_s, summary = self.clock(), lane.summary
        summary.add(result, {**result.spans, "write": now_s - stepped_s, "total": now_s - read_s})
        summary.wall_s, summary.source = now_s - self.begin_s, lane.source.counts
        if summary.frames <= WARM_UP_FRAMES:
            summary.warm_up_s = summary.wall_s
        else:
            lane.age.add(result.age_s)
        return result

    def finish(self, watcher: Watcher) -> None:
        """Finish the outputs. The source is only told to end: one that hangs must not hold up the others."""
        watcher.on_end(self.lane)
        self.lane.source.interrupt()
        try:
            with ExitStack() as stack:
                for sink in self.lane.sinks:
                    stack.enter_context(sink)
        except EdgesegError as error:
            if self.lane.error is None:
                self.lane.error = error
                watcher.on_failure(self.lane)
