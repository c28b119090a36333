"""Several ways to process the same synthetic clips, each scored by mask AP, identity and stability against the exact truth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.cli.turns import Clip, CostMeter, Run, RunCost, take_turns
from edgeseg.errors import UsageError
from edgeseg.evaluation import CodedTruth, DistanceAp, DistanceApMeter, Identity, IdentityMeter, Stability, StabilityMeter, coded
from edgeseg.model import DEFAULT_SCORE, Model
from edgeseg.sources.synthetic import LABELS, Scene, SceneConfig, are_of_scenes, classes_in
from edgeseg.types import F64Array, Frame, GroundTruth, Label, Result

AP_SCORE = 0.05
"""Average precision is defined over weak detections too; ids and steadiness are judged on what users see, above `DEFAULT_SCORE`."""
MIN_VISIBLE = 0.15
"""True instances of which less than this part is seen are ignored throughout."""


@dataclass(frozen=True, repr=False)
class RunScore(RunCost):
    """How good one run was, and what it cost."""

    ap: DistanceAp
    identity: Identity | None
    """None where the run gives no ids."""
    stability: Stability | None
    """None where clips have one frame, or nobody knows how their objects move."""

    def to_json(self) -> dict[str, Any]:
        """All numbers, durations in milliseconds; null where there was nothing to measure."""
        return super().to_json() | {
            "mask_ap": finite(dataclasses.asdict(self.ap.overall)),
            "mask_ap_by_distance": {
                str(distance): finite({"ap": ap.ap, "frames": ap.images, "instances": ap.instances}) for distance, ap in self.ap.at.items()
            },
            "identity": None if self.identity is None else finite(dataclasses.asdict(self.identity)),
            "stability": None if self.stability is None else finite(dataclasses.asdict(self.stability)),
        }


def finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """The same with null for what is not a number, which JSON cannot hold, and six digits after the point."""
    inner = {key: finite(value) for key, value in numbers.items() if isinstance(value, dict)}
    plain = {key: round(value, 6) if math.isfinite(value) else None for key, value in numbers.items() if key not in inner}
    return {key: inner.get(key, plain.get(key)) for key in numbers}


def compare(model: Model, runs: Sequence[Run], clips: Sequence[SceneConfig], on_frame: Callable[[], None] = lambda: None) -> list[RunScore]:
    """Process every clip with every run, and score them; see `take_turns`.

    Args:
        model: opened with `AP_SCORE`.
        runs: what to compare.
        clips: scenes of different seeds, with the model's labels.
        on_frame: called after each frame of each run.

    Raises:
        EdgesegError: a setting cannot work with this model, or a graph failed.
    """
    scenes = [_Clip(clip, model.bundle.labels) for clip in clips]
    return score_clips(model, runs, scenes, on_frame, moving=any(clip.frame_count > 1 for clip in clips))


@dataclass(frozen=True, repr=False)
class ObjectTruth:
    """What is known of one frame."""

    objects: CodedTruth
    moves: F64Array | None = None
    """float64 (N, 2, 3): how each goes on, from image pixel now to image pixel in the next frame; None for pictures."""


def score_clips(
    model: Model, runs: Sequence[Run], clips: Sequence[Clip[ObjectTruth]], on_frame: Callable[[], None], *, moving: bool = False
) -> list[RunScore]:
    """As `compare`, of any clips; ``moving`` where they are known to have moves and more than one frame."""
    scorers = [_Scorer(run, model.bundle.labels, moving=moving) for run in runs]
    take_turns(model, scorers, clips, on_frame)
    return [scorer.score() for scorer in scorers]


class _Clip:
    """A scene as a clip, its truth under the class numbers of a model."""

    def __init__(self, config: SceneConfig, labels: Sequence[Label]) -> None:
        self._scene, self._places = Scene(config), classes_in(labels)
        self.name, self.fps = self._scene.name, config.fps

    def __iter__(self) -> Iterator[tuple[Frame, ObjectTruth]]:
        for index in range(self._scene.config.frame_count):
            exact = self._scene.truth(index)
            there = in_classes(exact.ground_truth(MIN_VISIBLE), self._places)
            yield self._scene.frame(index), ObjectTruth(coded(there), exact.steps[1:])


def in_classes(truth: GroundTruth, places: Mapping[int, int]) -> GroundTruth:
    """The same under other class numbers: ``places[class]`` for each."""
    return dataclasses.replace(truth, classes=np.array([places[number] for number in truth.classes.tolist()], np.int64))


class _Scorer:
    """Collects what one run found and took."""

    def __init__(self, run: Run, labels: Sequence[Label], *, moving: bool) -> None:
        self.run = run
        self._clip = ""
        self._cost = CostMeter(run)
        self._ap = DistanceApMeter(labels)
        self._identity = IdentityMeter(labels) if run.settings.track else None
        self._stability = StabilityMeter() if moving else None

    def begin(self, clip: str) -> None:
        self._clip = clip
        self._cost.begin()

    def add(self, result: Result, cost_s: float, truth: ObjectTruth) -> None:
        self._cost.add(result, cost_s)
        self._ap.add(result, truth.objects)
        shown = confident(result)
        if self._identity is not None:
            self._identity.add(self._clip, shown, truth.objects)
        if self._stability is not None and truth.moves is not None:
            self._stability.add(self._clip, shown, truth.objects, truth.moves)

    def score(self) -> RunScore:
        return RunScore(
            **vars(self._cost.compute()),
            ap=self._ap.compute(),
            identity=None if self._identity is None else self._identity.compute(),
            stability=None if self._stability is None else self._stability.compute(),
        )


def confident(result: Result) -> Result:
    """Only the instances that ``edgeseg run`` shows by default."""
    found = result.instances
    return result if found is None else dataclasses.replace(result, instances=found.select(found.scores > DEFAULT_SCORE))


def require_synthetic(labels: Sequence[Label], bundle: Path) -> None:
    """Raise UsageError unless a model's classes are those of the synthetic scenes, stuff included or not."""
    if not are_of_scenes(labels):
        names = [label.name for label in labels]
        things = [label.name for label in LABELS if label.is_thing]
        raise UsageError(
            f"{bundle} was trained for other classes ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}) than the synthetic "
            f"scenes have ({', '.join(things)}): there is no ground truth for it here. Give a bundle that was trained on synthetic video, "
            "like the one that ships with edgeseg."
        )


def clips_text(clips: Sequence[SceneConfig]) -> str:
    """What was measured on."""
    first, last = clips[0], clips[-1]
    height, width = first.size_hw
    seeds = f"seed {first.seed}" if first is last else f"seeds {first.seed} to {last.seed}"
    return (
        f"{len(clips)} synthetic clip{'s' * (len(clips) > 1)} of {first.frame_count} frames, {width}x{height}, {seeds}; "
        f"objects of which less than {MIN_VISIBLE:.0%} is seen are ignored"
    )
