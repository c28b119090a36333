"""The measurement itself: one frame after the other through a pipeline, the next when the result of the last is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from edgeseg.benchmark.machine import memory_mib, peak_memory_mib
from edgeseg.benchmark.sensors import Reading, Watch
from edgeseg.errors import SourceError
from edgeseg.pipeline import Pipeline
from edgeseg.sources.base import Source
from edgeseg.types import F64Array, Frame, Step

INFER = "infer"
"""The stage in which `edgeseg.backends.base.Session` runs a graph."""


@dataclass(frozen=True)
class Plan:
    """How long to measure: until there are so many frames, or for so long, whatever comes first."""

    frames: int
    seconds: float
    warm_up: int
    """First frames, kept apart: backends finish their preparation in them, and clocks rise."""


@dataclass(frozen=True, repr=False)
class Samples:
    """What was measured of N frames after the warm-up, in order; seconds."""

    warm_up_s: tuple[float, ...]
    """From capture to result, of the frames before."""
    steps: tuple[Step, ...]
    latency_s: F64Array
    """float64 (N,): from capture to a result that is complete, its masks encoded."""
    stages_s: Mapping[str, F64Array]
    """Stage name -> float64 (N,), NaN for frames without it; with ``read`` before a frame, and ``encode`` after its result."""
    wall_s: float
    """From before the first frame was read to after the last result."""
    missed: int
    """Frames that the source left out."""
    readings: tuple[Reading, ...]
    memory_mib: tuple[float | None, float | None, float | None]
    """What the process held at the beginning and at the end, and the most it ever did."""

    def of(self, step: Step) -> F64Array:
        """bool (N,): which frames got a step."""
        return np.array([one is step for one in self.steps], bool)

    @property
    def answered(self) -> F64Array:
        """bool (N,): which frames got a result, as those do that no schedule dropped."""
        return np.array([one is not Step.DROP for one in self.steps], bool)


def measure(
    pipeline: Pipeline,
    frames: Iterator[Frame],
    plan: Plan,
    watch: Watch,
    clock: Callable[[], float] = time.monotonic,
    on_frame: Callable[[], None] = lambda: None,
) -> Samples:
    """Time frames as MLPerf's single stream does: the next one is asked for when the last one's result is complete.

    Args:
        pipeline: a new one.
        frames: what to time; ``captured_s`` is of the same clock.
        plan: how long.
        watch: reads the sensors, between frames.
        clock: monotonic seconds.
        on_frame: called after every frame, not timed.

    Raises:
        SourceError: the source ended within the warm-up.
        EdgesegError: a graph failed, or the source did.
    """
    warm_up = _Collector(pipeline, clock)
    for _ in range(plan.warm_up):
        if not warm_up.take(frames):
            break
        on_frame()
    collector = _Collector(pipeline, clock, warm_up.last_index)
    held = memory_mib()
    watch.look(now=True)
    begin_s = clock()
    while len(collector.steps) < plan.frames and clock() - begin_s < plan.seconds and collector.take(frames):
        watch.look()
        on_frame()
    if not collector.steps:
        raise SourceError(f"the source ended after {len(warm_up.steps)} frames, within the warm-up. Give a longer one.")
    wall_s = clock() - begin_s
    watch.look(now=True)
    return collector.samples(tuple(warm_up.latency_s), wall_s, tuple(watch.readings), (held, memory_mib(), peak_memory_mib()))


@dataclass
class _Collector:
    """Takes frames from a source through a pipeline, with their times."""

    pipeline: Pipeline
    clock: Callable[[], float]
    last_index: int = -1
    steps: list[Step] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    stages_s: list[dict[str, float]] = field(default_factory=list)
    missed: int = 0

    def take(self, frames: Iterator[Frame]) -> bool:
        """Process one frame; whether there was one."""
        before_s = self.clock()
        frame = next(frames, None)
        if frame is None:
            return False
        read_s = self.clock()
        result = self.pipeline.step(frame)
        found_s = self.clock()
        # Masks are kept small until somebody wants them. Somebody does.
        result.to_json()
        end_s = self.clock()
        self.steps.append(result.step)
        self.latency_s.append(end_s - frame.captured_s)
        self.stages_s.append({"read": read_s - before_s, **result.spans, "encode": end_s - found_s})
        # A source that is read again starts at 0.
        self.missed += max(0, frame.index - self.last_index - 1)
        self.last_index = frame.index
        return True

    def samples(
        self,
        warm_up_s: tuple[float, ...],
        wall_s: float,
        readings: tuple[Reading, ...],
        held_mib: tuple[float | None, float | None, float | None],
    ) -> Samples:
        """All that was taken."""
        names = dict.fromkeys(name for stages in self.stages_s for name in stages)
        stages_s = {name: np.array([stages.get(name, np.nan) for stages in self.stages_s]) for name in names}
        return Samples(warm_up_s, tuple(self.steps), np.array(self.latency_s), stages_s, wall_s, self.missed, readings, held_mib)


def repeated(first: Source, reopen: Callable[[], Source]) -> Generator[Frame, None, None]:
    """The frames of an open source; where it has an end that is known, as files do, it is opened again and again. Closes them all."""
    source = first
    while True:
        with source:
            yield from source
        if source.info.frame_count is None:
            return
        source = reopen()
