"""A whole run from source to sinks, on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import read_bundle
from edgeseg.errors import UsageError
from edgeseg.families.base import KEY
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline
from edgeseg.sinks.base import Sink
from edgeseg.sources.base import Source, SourceCounts, SourceInfo
from edgeseg.stream import RECENT, WARM_UP_FRAMES, StageTimes, Summary, run, stream
from edgeseg.types import Frame, Result, Step
from tests.bundles import tiny_bundle


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Frames(Source):
    """Small pictures, each of which takes a while to read."""

    def __init__(self, count: int, clock: Clock, read_s: float = 0.5) -> None:
        self.info = SourceInfo("frames", frame_count=count)
        self._clock, self._read_s = clock, read_s
        self.given = 0
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.info.frame_count or 0):
            self._clock.now_s += self._read_s
            self.given += 1
            yield Frame(np.zeros((4, 4, 3), np.uint8), index, captured_s=self._clock())

    def close(self) -> None:
        self.closed = True


class Collector(Sink):
    """Keeps what it is given; may want to stop."""

    def __init__(self, clock: Clock, write_s: float = 0.25, stop_after: int | None = None) -> None:
        self.results: list[tuple[int, Result]] = []
        self._clock, self._write_s, self._stop_after = clock, write_s, stop_after

    def write(self, frame: Frame, result: Result) -> None:
        self._clock.now_s += self._write_s
        self.results.append((frame.index, result))
        self.wants_stop = len(self.results) == self._stop_after


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def model(tmp_path: Path, clock: Clock) -> Model:
    """A model whose first run takes ten seconds and each later one second; it finds three things in every frame."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))
    runs: list[None] = []

    def answer(_: object) -> dict[str, np.ndarray]:
        clock.now_s += 1.0 if runs else 10.0
        runs.append(None)
        outputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in bundle.graphs[KEY].outputs}
        outputs["scores"][:3] = 0.9
        return outputs

    session = Fake(answer).open(bundle.file(KEY, "fp32"), bundle.graphs[KEY], "fp32", None)
    return Model(bundle, lambda _: session, Choice("fake", "as asked"), clock=clock)


def _every(model: Model) -> Pipeline:
    return Pipeline(model)


def test_every_frame_reaches_every_sink_in_order(model: Model, clock: Clock) -> None:
    """With its own result, and the caller is told of each."""
    sinks, told = [Collector(clock), Collector(clock)], []

    run(Frames(4, clock), _every(model), sinks, on_frame=lambda result: told.append(result.frame_index), clock=clock)

    for sink in sinks:
        assert [(index, result.frame_index) for index, result in sink.results] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert told == [0, 1, 2, 3]


def test_the_summary_keeps_the_warm_up_apart(model: Model, clock: Clock) -> None:
    """The first frame counts as work done, but its times are in no stage and not in the frame rate."""
    summary = run(Frames(5, clock), _every(model), [Collector(clock)], clock=clock)

    assert (summary.frames, summary.detections) == (5, 15)
    assert (summary.wall_s, summary.warm_up_s) == (10.75 + 4 * 1.75, 10.75)
    assert summary.frames_per_s == pytest.approx(1 / 1.75)
    assert {name: (len(times.recent_s), times.median_s) for name, times in summary.stages.items()} == {
        "read": (4, 0.5),
        "prepare": (4, 0.0),
        "infer": (4, 1.0),
        "decode": (4, 0.0),
        "write": (4, 0.25),
        "total": (4, 1.75),
    }


def test_the_summary_has_what_happened_to_the_source(model: Model, clock: Clock) -> None:
    """Drops and the like are those up to the last frame."""

    class Dropping(Frames):
        @property
        def counts(self) -> SourceCounts:
            return SourceCounts(dropped=3 * self.given, reconnects=1)

    assert run(Dropping(2, clock), _every(model), clock=clock).source == SourceCounts(dropped=6, reconnects=1)
    assert run(Frames(2, clock), _every(model), clock=clock).source == SourceCounts()


@pytest.mark.parametrize("count", [0, 1])
def test_a_stream_no_longer_than_the_warm_up_has_no_frame_rate(model: Model, clock: Clock, count: int) -> None:
    """No division by zero, no stages."""
    summary = run(Frames(count, clock), _every(model), clock=clock)

    assert (summary.frames, summary.frames_per_s, summary.stages) == (count, 0.0, {})


@pytest.mark.parametrize(("limit", "frames"), [(1, 1), (3, 3), (9, 5), (None, 5)])
def test_max_frames_stops_before_the_next_frame_is_read(model: Model, clock: Clock, limit: int | None, frames: int) -> None:
    """A camera is not waited for once enough is seen."""
    source = Frames(5, clock)

    assert run(source, _every(model), max_frames=limit, clock=clock).frames == frames
    assert source.given == frames


def test_a_sink_can_end_the_run(model: Model, clock: Clock) -> None:
    """When the window is closed; the other sinks still get that frame."""
    other = Collector(clock)

    summary = run(Frames(5, clock), _every(model), [Collector(clock, stop_after=2), other], clock=clock)

    assert (summary.frames, len(other.results)) == (2, 2)


def test_times_of_long_streams_take_bounded_memory() -> None:
    """The median and p99 are those of the recent past."""
    times = StageTimes()
    for second in range(RECENT + 10):
        times.add(float(second >= 10))

    assert (len(times.recent_s), times.median_s) == (RECENT, 1.0)


def test_p99_is_near_the_worst() -> None:
    """And both are zero before anything was measured."""
    times = StageTimes()
    assert (times.median_s, times.p99_s) == (0.0, 0.0)
    for value in range(101):
        times.add(float(value))

    assert (times.median_s, times.p99_s) == (50.0, 99.0)


def test_stream_gives_frames_with_results_and_closes(model: Model, clock: Clock) -> None:
    """Also when the caller leaves early."""
    source = Frames(5, clock)
    pairs = stream(model, source)

    assert [(frame.index, result.frame_index) for frame, result in (next(pairs), next(pairs))] == [(0, 0), (1, 1)]
    pairs.close()
    assert source.closed


def test_stream_opens_what_run_takes(model: Model) -> None:
    """A SOURCE text, such as a synthetic scene."""
    results = [result for _, result in edgeseg.stream(model, "synthetic:frames=3,size=64x48")]

    assert [result.frame_index for result in results] == [0, 1, 2]


def test_stream_refuses_an_unknown_schedule(model: Model, clock: Clock) -> None:
    """As the command does."""
    with pytest.raises(UsageError, match="there is no schedule 'sometimes'"):
        next(stream(model, Frames(1, clock), schedule="sometimes"))


def test_summary_counts_frames_without_instances() -> None:
    """Panoptic results have none."""
    summary = Summary()
    summary.add(Result(0, Step.KEY, (), (4, 4)), {})

    assert (summary.frames, summary.detections, summary.steps) == (1, 0, {Step.KEY: 1})
    assert WARM_UP_FRAMES == 1
