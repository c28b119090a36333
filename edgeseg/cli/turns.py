"""Several ways to process the same clips, frame by frame in turns, each timed."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np

from edgeseg.errors import UsageError
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule import schedule
from edgeseg.types import F64Array, Frame, Result, Step

WARM_UP_FRAMES = 3
_BETWEEN = ("warp", "propagate")
_SWITCHES = ("track", "smooth", "overlap", "faithful")
Truth = TypeVar("Truth")
Known_contra = TypeVar("Known_contra", contravariant=True)
Given_co = TypeVar("Given_co", covariant=True)


@dataclass(frozen=True)
class Run:
    """One way to process a stream."""

    name: str
    settings: StreamSettings


def parse_run(text: str) -> Run:
    """The run that ``SCHEDULE[+warp|+propagate][+track][+smooth][+overlap][+faithful]`` names, as ``fixed:5+propagate+track``.

    Raises:
        UsageError: an unknown schedule, an unknown word, a word twice, or words that do not go together.
    """
    name, *words = text.split("+")
    schedule(name)
    unknown = [word for word in words if word not in (*_BETWEEN, *_SWITCHES)]
    if unknown or len(set(words)) < len(words):
        wrong = f"{unknown[0]!r} is not known" if unknown else "a word is given twice"
        raise UsageError(f"run {text!r}: {wrong}; after the schedule give {', '.join(f'+{word}' for word in (*_BETWEEN, *_SWITCHES))}")
    between = [word for word in words if word in _BETWEEN]
    if len(between) > 1:
        raise UsageError(f"run {text!r}: frames between key frames are warped or propagated, not both; make it two runs")
    switches = {word: word in words for word in _SWITCHES}
    return Run(text, StreamSettings(name, between[0] if between else "auto", **switches))


@dataclass(frozen=True, repr=False)
class RunCost:
    """What one run did and cost."""

    run: Run
    costs_s: tuple[tuple[float, ...], ...]
    """Per clip, seconds of every frame: what a caller of `Pipeline.step` waits."""
    steps: tuple[tuple[Step, ...], ...]
    """Per clip, what every frame got."""

    @property
    def mean_s(self) -> float:
        """Mean cost of a frame."""
        return float(np.mean(np.concatenate(self.costs_s)))

    @property
    def counts(self) -> Counter[Step]:
        """How many frames got which step."""
        return Counter(step for clip in self.steps for step in clip)

    def to_json(self) -> dict[str, Any]:
        """All numbers, durations in milliseconds."""
        costs_s, steps = np.concatenate(self.costs_s), [step for clip in self.steps for step in clip]
        by_step = {step: costs_s[[one is step for one in steps]] for step in Step if step in steps}
        return {
            "run": self.run.name,
            "cost_ms": {name: _ms(value) for name, value in _quantiles(costs_s).items()},
            "step_median_ms": {step.value: _ms(float(np.median(part))) for step, part in by_step.items()},
            "clip_mean_ms": [_ms(float(np.mean(clip))) for clip in self.costs_s],
            "steps": {step.value: len(part) for step, part in by_step.items()},
        }


def _quantiles(costs_s: F64Array) -> dict[str, float]:
    low, median, high, last = np.percentile(costs_s, [5, 50, 95, 99])
    return {"mean": float(costs_s.mean()), "p5": low, "median": median, "p95": high, "p99": last, "max": float(costs_s.max())}


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


class CostMeter:
    """Collects what one run did and took."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._costs_s: list[list[float]] = []
        self._steps: list[list[Step]] = []

    def begin(self) -> None:
        """Further frames belong to another clip."""
        self._costs_s.append([])
        self._steps.append([])

    def add(self, result: Result, cost_s: float) -> None:
        """Take one frame."""
        self._costs_s[-1].append(cost_s)
        self._steps[-1].append(result.step)

    def compute(self) -> RunCost:
        """All that was added."""
        return RunCost(self._run, tuple(map(tuple, self._costs_s)), tuple(map(tuple, self._steps)))


class Clip(Protocol[Given_co]):
    """Frames with what is known of them. It can be iterated several times."""

    name: str
    fps: float

    def __iter__(self) -> Iterator[tuple[Frame, Given_co]]: ...


class Scorer(Protocol[Known_contra]):
    """Judges one run."""

    run: Run

    def begin(self, clip: str) -> None:
        """Further frames belong to another clip."""
        ...

    def add(self, result: Result, cost_s: float, truth: Known_contra) -> None:
        """Take one frame."""
        ...


def take_turns(
    model: Model, scorers: Sequence[Scorer[Truth]], clips: Sequence[Clip[Truth]], on_frame: Callable[[], None] = lambda: None
) -> None:
    """Process every clip with every scorer's run, and tell the scorers.

    A frame is made once and given to each run in turn, in an order that is drawn anew for each frame, so that a machine that
    gets slower does so for all. Reading and scoring are not timed. Runs with overlapped key frames have each clip for themselves,
    after the others, because the thread that they leave working would slow down whoever comes next; and they get their frames at the
    clip's own rate, as from a camera, because how far that thread comes between two frames decides what they show.

    Raises:
        EdgesegError: a setting cannot work with this model, a graph failed, or a clip cannot be read.
    """
    _warm_up(model, [scorer.run for scorer in scorers], clips[0])
    together = [scorer for scorer in scorers if not scorer.run.settings.overlap]
    alone = [[scorer] for scorer in scorers if scorer.run.settings.overlap]
    for number, clip in enumerate(clips):
        for group in (together, *alone) if together else alone:
            _process(model, group, clip, np.random.default_rng(number), on_frame)


def _warm_up(model: Model, runs: Sequence[Run], clip: Clip[Any]) -> None:
    """The first frames through every run, not counted: backends finish their preparation in them."""
    frames = [frame for frame, _ in islice(clip, WARM_UP_FRAMES)]
    for run in runs:
        with Pipeline(model, run.settings) as pipeline:
            for frame in frames:
                pipeline.step(frame)


def _process(
    model: Model, scorers: Sequence[Scorer[Truth]], clip: Clip[Truth], rng: np.random.Generator, on_frame: Callable[[], None]
) -> None:
    paced = any(scorer.run.settings.overlap for scorer in scorers)
    with ExitStack() as stack:
        pipelines = [stack.enter_context(Pipeline(model, scorer.run.settings)) for scorer in scorers]
        for scorer in scorers:
            scorer.begin(clip.name)
        begin_s = time.perf_counter()
        for index, (frame, truth) in enumerate(clip):
            if paced:
                time.sleep(max(0.0, begin_s + index / clip.fps - time.perf_counter()))
            for k in rng.permutation(len(scorers)).tolist():
                # Each run gets the frame when its turn comes, as if it were alone.
                fresh = dataclasses.replace(frame, captured_s=model.clock())
                start_s = time.perf_counter()
                result = pipelines[k].step(fresh)
                scorers[k].add(result, time.perf_counter() - start_s, truth)
                on_frame()
