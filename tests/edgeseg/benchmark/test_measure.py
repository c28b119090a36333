"""What is timed, on a clock that only moves when something is done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.benchmark.measure import Plan, measure, repeated
from edgeseg.benchmark.sensors import Reading, Watch
from edgeseg.errors import SourceError
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.types import Step


class Clock:
    """Seconds that pass when somebody works."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class Bench:
    """Frames that take a second to read, are captured a quarter of a second before the end of it, and take half a second each."""

    def __init__(self, make_frame, make_result, indices, steps=None):
        self.clock, self.make_frame, self.make_result, self.indices = Clock(), make_frame, make_result, indices
        self.steps = steps or [Step.KEY] * len(indices)
        self.done = 0

    def frames(self):
        for index in self.indices:
            self.clock.now_s += 1
            yield replace(self.make_frame(index), captured_s=self.clock.now_s - 0.25)

    def step(self, frame):
        """As `Pipeline.step`."""
        self.clock.now_s += 0.5
        step = self.steps[self.done]
        self.done += 1
        spans = {"infer": 0.375} if step is Step.KEY else {"propagate": 0.125}
        result = self.make_result(index=frame.index)
        return replace(result, step=step, instances=None if step is Step.DROP else result.instances, spans=spans)

    def measure(self, plan):
        return measure(self, self.frames(), plan, Watch(lambda: Reading(self.clock()), self.clock), self.clock)


def test_warm_up_is_kept_apart_and_every_frame_is_timed_from_its_capture(make_frame, make_result):
    """Two frames of warm-up, three that count; reading is outside the latency and inside the wall time."""
    found = Bench(make_frame, make_result, range(9)).measure(Plan(3, 60, 2))

    assert found.warm_up_s == (0.75, 0.75)
    assert found.latency_s.tolist() == [0.75] * 3
    assert found.stages_s["read"].tolist() == [1.0] * 3
    assert found.stages_s["infer"].tolist() == [0.375] * 3
    assert found.stages_s["encode"].tolist() == [0.0] * 3
    assert found.wall_s == 4.5
    assert [reading.at_s for reading in found.readings] == [103.0, 104.5, 106.0, 107.5, 107.5]


def test_measuring_ends_when_the_time_is_over(make_frame, make_result):
    """Frames take 1.5 s: within 4 s three begin."""
    assert len(Bench(make_frame, make_result, range(9)).measure(Plan(100, 4, 1)).steps) == 3


def test_gaps_in_the_numbers_are_frames_that_the_source_left_out(make_frame, make_result):
    """Those within the warm-up do not count, and a source that starts anew left out nothing."""
    found = Bench(make_frame, make_result, [0, 5, 6, 8, 12, 0, 1]).measure(Plan(100, 60, 2))

    assert found.missed == 1 + 3


def test_steps_are_told_apart(make_frame, make_result):
    """A stage that a step does not have is not a number; a dropped frame is no answer."""
    found = Bench(make_frame, make_result, range(4), [Step.KEY, Step.KEY, Step.PROPAGATE, Step.DROP]).measure(Plan(9, 60, 1))

    assert found.steps == (Step.KEY, Step.PROPAGATE, Step.DROP)
    assert found.of(Step.PROPAGATE).tolist() == [False, True, False]
    assert found.answered.tolist() == [True, True, False]
    assert np.isnan(found.stages_s["infer"]).tolist() == [False, True, True]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_source_that_ends_within_the_warm_up_is_an_error(make_frame, make_result, count):
    """It says after how many frames."""
    with pytest.raises(SourceError, match=f"ended after {count} frames, within the warm-up"):
        Bench(make_frame, make_result, range(count)).measure(Plan(3, 60, 2))


class Listed(Source):
    """Frames with such numbers."""

    def __init__(self, indices, make_frame, count):
        self.info = SourceInfo("listed", frame_count=count)
        self.frames, self.closed = [make_frame(index) for index in indices], 0

    def __iter__(self):
        yield from self.frames

    def close(self):
        self.closed += 1


def test_a_file_is_read_again_and_closed_each_time(make_frame):
    """As often as frames are wanted."""
    opened = [Listed([0, 1], make_frame, 2) for _ in range(3)]
    later = iter(opened[1:])
    frames = repeated(opened[0], lambda: next(later))

    assert [next(frames).index for _ in range(5)] == [0, 1, 0, 1, 0]
    frames.close()
    assert [source.closed for source in opened] == [1, 1, 1]


def test_a_camera_that_ends_has_ended(make_frame):
    """Nobody knows how many frames it had."""
    camera = Listed([0, 1], make_frame, None)

    assert [frame.index for frame in repeated(camera, lambda: pytest.fail("opened again"))] == [0, 1]
    assert camera.closed == 1
