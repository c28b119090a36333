"""A whole run: source -> pipeline -> sinks, and what it cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeseg.model import Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule import Policy
from edgeseg.sinks.base import Sink
from edgeseg.sources import open_source
from edgeseg.sources.base import Source, SourceCounts
from edgeseg.types import F64Array, Frame, Result, Step

RECENT = 20_000
"""Timings kept for the median and p99, so that hours of video do not grow the memory."""
WARM_UP_FRAMES = 1
"""First frames whose timings are kept apart: backends finish their preparation in them."""


class StageTimes:
    """The most recent durations of one stage of a run. Their memory is taken at once, so that none is taken later."""

    def __init__(self) -> None:
        self._ring_s = np.full(RECENT, np.nan)
        self._count = 0

    @property
    def recent_s(self) -> F64Array:
        """The last `RECENT` durations or fewer, float64 (N,), in no certain order."""
        return self._ring_s[: self._count]

    def add(self, seconds: float) -> None:
        """Take one more duration."""
        self._ring_s[self._count % RECENT] = seconds
        self._count += 1

    @property
    def median_s(self) -> float:
        """Median of the most recent durations."""
        return float(np.median(self.recent_s)) if self._count else 0.0

    @property
    def p99_s(self) -> float:
        """99th percentile of the most recent durations."""
        return float(np.percentile(self.recent_s, 99)) if self._count else 0.0


@dataclass
class Summary:
    """What a run did, and what each stage of it cost after the warm-up."""

    frames: int = 0
    detections: int = 0
    wall_s: float = 0.0
    warm_up_s: float = 0.0
    """Of ``wall_s``, what the first frames took."""
    stages: dict[str, StageTimes] = field(default_factory=dict)
    steps: Counter[Step] = field(default_factory=Counter)
    """How many frames got which step."""
    source: SourceCounts = field(default_factory=SourceCounts)
    """What happened to the stream up to the last of these frames."""

    @property
    def frames_per_s(self) -> float:
        """Frames a second from reading to the last sink, warm-up left out."""
        steady_s = self.wall_s - self.warm_up_s
        return (self.frames - WARM_UP_FRAMES) / steady_s if self.frames > WARM_UP_FRAMES and steady_s > 0 else 0.0

    def add(self, result: Result, spans: dict[str, float]) -> None:
        """Count one frame."""
        self.frames += 1
        self.steps[result.step] += 1
        self.detections += 0 if result.instances is None else len(result.instances)
        if self.frames > WARM_UP_FRAMES:
            for name, seconds in spans.items():
                self.stages.setdefault(name, StageTimes()).add(seconds)


def run(
    source: Source,
    pipeline: Pipeline,
    sinks: Sequence[Sink] = (),
    *,
    max_frames: int | None = None,
    on_frame: Callable[[Result], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Send every frame of a source through a pipeline into the sinks. The caller closes source and sinks.

    Stages in the summary: ``read``, those of the results, ``write`` and ``total``, seconds per frame.
    """
    summary = Summary()
    begin_s = before_s = clock()
    for frame in source:
        read_s = clock()
        result = pipeline.step(frame)
        stepped_s = clock()
        for sink in sinks:
            sink.write(frame, result)
        if on_frame is not None:
            on_frame(result)
        now_s = clock()
        summary.add(result, {"read": read_s - before_s, **result.spans, "write": now_s - stepped_s, "total": now_s - before_s})
        summary.wall_s, summary.source = now_s - begin_s, source.counts
        if summary.frames <= WARM_UP_FRAMES:
            summary.warm_up_s = summary.wall_s
        before_s = now_s
        if summary.frames == max_frames or any(sink.wants_stop for sink in sinks):
            break
    return summary


def stream(
    model: Model,
    source: str | Path | Source,
    *,
    schedule: str | Policy = "every",
    between: str = "auto",
    overlap: bool = False,
    track: bool = False,
    smooth: bool = False,
    faithful: bool = False,
) -> Iterator[tuple[Frame, Result]]:
    """Frames with their results, one by one.

    Args:
        model: an open model.
        source: what ``edgeseg run`` takes as SOURCE, or an open source (closed at the end of the iteration as well).
        schedule, between, overlap, track, smooth, faithful: see `edgeseg.pipeline.StreamSettings`.
    """
    settings = StreamSettings(schedule, between, overlap, track, smooth, faithful)
    with Pipeline(model, settings) as pipeline, source if isinstance(source, Source) else open_source(source) as frames:
        for frame in frames:
            yield frame, pipeline.step(frame)
