"""Several ways to process the same synthetic clips, frame by frame in turns, each timed and scored against the exact truth."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.errors import UsageError
from edgeseg.evaluation import CodedTruth, DistanceAp, DistanceApMeter, Identity, IdentityMeter, Stability, StabilityMeter, coded
from edgeseg.model import DEFAULT_SCORE, Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule import schedule
from edgeseg.sources.synthetic import Scene, SceneConfig
from edgeseg.types import F64Array, Label, Result, Step

AP_SCORE = 0.05
"""Average precision is defined over weak detections too; ids and steadiness are judged on what users see, above `DEFAULT_SCORE`."""
MIN_VISIBLE = 0.15
"""True instances of which less than this part is seen are ignored throughout."""
WARM_UP_FRAMES = 3
_BETWEEN = ("warp", "propagate")
_SWITCHES = ("track", "smooth", "overlap")


@dataclass(frozen=True)
class Run:
    """One way to process a stream."""

    name: str
    settings: StreamSettings


def parse_run(text: str) -> Run:
    """The run that ``SCHEDULE[+warp|+propagate][+track][+smooth][+overlap]`` names, for example ``fixed:5+propagate+track``.

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
class RunScore:
    """How good one run was, and what it cost."""

    run: Run
    costs_s: tuple[tuple[float, ...], ...]
    """Per clip, seconds of every frame: what a caller of `Pipeline.step` waits."""
    steps: tuple[tuple[Step, ...], ...]
    """Per clip, what every frame got."""
    ap: DistanceAp
    identity: Identity | None
    """None where the run gives no ids."""
    stability: Stability | None
    """None where clips have one frame."""

    @property
    def mean_s(self) -> float:
        """Mean cost of a frame."""
        return float(np.mean(np.concatenate(self.costs_s)))

    @property
    def counts(self) -> Counter[Step]:
        """How many frames got which step."""
        return Counter(step for clip in self.steps for step in clip)

    def to_json(self) -> dict[str, Any]:
        """All numbers, durations in milliseconds; null where there was nothing to measure."""
        costs_s, steps = np.concatenate(self.costs_s), [step for clip in self.steps for step in clip]
        by_step = {step: costs_s[[one is step for one in steps]] for step in Step if step in steps}
        return {
            "run": self.run.name,
            "cost_ms": {name: _ms(value) for name, value in _quantiles(costs_s).items()},
            "step_median_ms": {step.value: _ms(float(np.median(part))) for step, part in by_step.items()},
            "clip_mean_ms": [_ms(float(np.mean(clip))) for clip in self.costs_s],
            "steps": {step.value: len(part) for step, part in by_step.items()},
            "mask_ap": _finite(dataclasses.asdict(self.ap.overall)),
            "mask_ap_by_distance": {
                str(distance): _finite({"ap": ap.ap, "frames": ap.images, "instances": ap.instances}) for distance, ap in self.ap.at.items()
            },
            "identity": None if self.identity is None else _finite(dataclasses.asdict(self.identity)),
            "stability": None if self.stability is None else _finite(dataclasses.asdict(self.stability)),
        }


def _quantiles(costs_s: F64Array) -> dict[str, float]:
    low, median, high, last = np.percentile(costs_s, [5, 50, 95, 99])
    return {"mean": float(costs_s.mean()), "p5": low, "median": median, "p95": high, "p99": last, "max": float(costs_s.max())}


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def _finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """The same with null for what is not a number, which JSON cannot hold, and six digits after the point."""
    inner = {key: _finite(value) for key, value in numbers.items() if isinstance(value, dict)}
    plain = {key: round(value, 6) if math.isfinite(value) else None for key, value in numbers.items() if key not in inner}
    return {key: inner.get(key, plain.get(key)) for key in numbers}


def compare(model: Model, runs: Sequence[Run], clips: Sequence[SceneConfig], on_frame: Callable[[], None] = lambda: None) -> list[RunScore]:
    """Process every clip with every run, and score them.

    A frame is rendered once and given to each run in turn, in an order that is drawn anew for each frame, so that a machine that
    gets slower does so for all. Rendering and scoring are not timed. Runs with overlapped key frames have each clip for themselves,
    after the others, because the thread that they leave working would slow down whoever comes next; and they get their frames at the
    clip's own rate, as from a camera, because how far that thread comes between two frames decides what they show.

    Args:
        model: opened with `AP_SCORE`.
        runs: what to compare.
        clips: scenes of different seeds, with the model's labels.
        on_frame: called after each frame of each run.

    Raises:
        EdgesegError: a setting cannot work with this model, or a graph failed.
    """
    _warm_up(model, runs, clips[0])
    scorers = [_Scorer(run, model.bundle.labels, two_frames=any(clip.frame_count > 1 for clip in clips)) for run in runs]
    together = [scorer for scorer in scorers if not scorer.run.settings.overlap]
    alone = [[scorer] for scorer in scorers if scorer.run.settings.overlap]
    for clip in clips:
        for group in (together, *alone) if together else alone:
            _take_turns(model, group, clip, on_frame)
    return [scorer.score() for scorer in scorers]


def _warm_up(model: Model, runs: Sequence[Run], clip: SceneConfig) -> None:
    """The first frames through every run, not counted: backends finish their preparation in them."""
    scene = Scene(clip)
    for run in runs:
        with Pipeline(model, run.settings) as pipeline:
            for index in range(WARM_UP_FRAMES):
                pipeline.step(scene.frame(index))


def _take_turns(model: Model, scorers: Sequence[_Scorer], clip: SceneConfig, on_frame: Callable[[], None]) -> None:
    scene, rng = Scene(clip), np.random.default_rng(clip.seed)
    paced = any(scorer.run.settings.overlap for scorer in scorers)
    with ExitStack() as stack:
        pipelines = [stack.enter_context(Pipeline(model, scorer.run.settings)) for scorer in scorers]
        for scorer in scorers:
            scorer.begin(scene.name)
        begin_s = time.perf_counter()
        for index in range(clip.frame_count):
            frame, exact = scene.frame(index), scene.truth(index)
            truth = coded(exact.ground_truth(MIN_VISIBLE))
            if paced:
                time.sleep(max(0.0, begin_s + index / clip.fps - time.perf_counter()))
            for k in rng.permutation(len(scorers)).tolist():
                # Each run gets the frame when its turn comes, as if it were alone.
                fresh = dataclasses.replace(frame, captured_s=model.clock())
                start_s = time.perf_counter()
                result = pipelines[k].step(fresh)
                cost_s = time.perf_counter() - start_s
                scorers[k].add(result, cost_s, truth, exact.steps[1:])
                on_frame()


class _Scorer:
    """Collects what one run found and took."""

    def __init__(self, run: Run, labels: Sequence[Label], *, two_frames: bool) -> None:
        self.run = run
        self._clip = ""
        self._costs_s: list[list[float]] = []
        self._steps: list[list[Step]] = []
        self._ap = DistanceApMeter(labels)
        self._identity = IdentityMeter(labels) if run.settings.track else None
        self._stability = StabilityMeter() if two_frames else None

    def begin(self, clip: str) -> None:
        """Further frames belong to another clip."""
        self._clip = clip
        self._costs_s.append([])
        self._steps.append([])

    def add(self, result: Result, cost_s: float, truth: CodedTruth, moves: F64Array) -> None:
        self._costs_s[-1].append(cost_s)
        self._steps[-1].append(result.step)
        self._ap.add(result, truth)
        shown = confident(result)
        if self._identity is not None:
            self._identity.add(self._clip, shown, truth)
        if self._stability is not None:
            self._stability.add(self._clip, shown, truth, moves)

    def score(self) -> RunScore:
        return RunScore(
            run=self.run,
            costs_s=tuple(map(tuple, self._costs_s)),
            steps=tuple(map(tuple, self._steps)),
            ap=self._ap.compute(),
            identity=None if self._identity is None else self._identity.compute(),
            stability=None if self._stability is None else self._stability.compute(),
        )


def confident(result: Result) -> Result:
    """Only the instances that ``edgeseg run`` shows by default."""
    found = result.instances
    return result if found is None else dataclasses.replace(result, instances=found.select(found.scores > DEFAULT_SCORE))
