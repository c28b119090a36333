"""``edgeseg demo``: a shipped bundle on a synthetic clip, under several schedules side by side."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edgeseg.backends import WAIT
from edgeseg.benchmark.machine import peak_memory_mib
from edgeseg.cli.demo_panoptic import PANOPTIC_SCORES, Judge, PanopticJudge, panoptic_contenders
from edgeseg.cli.options import add_model_options, model_options, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.report import backend_text, table
from edgeseg.data import demo_bundle, panoptic_demo_bundle
from edgeseg.draw import annotate, captioned, tiled
from edgeseg.errors import MissingDependencyError
from edgeseg.evaluation import MaskApMeter
from edgeseg.loader import load
from edgeseg.model import DEFAULT_SCORE, Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.sinks import open_output
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig, SyntheticSource
from edgeseg.types import Frame, Label, Result, Step, U8Array

SEED = HELD_OUT_FIRST_SEED + 1
COLUMNS = 2
_AP_SCORE = 0.05
"""Average precision is defined over weak detections too; the video shows those above `DEFAULT_SCORE`."""
_EXAMPLES = """examples:
  edgeseg demo
  edgeseg demo --out out.mp4 --frames 30 --backend onnxruntime
  edgeseg demo --panoptic
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "demo",
        help="run a shipped model on a synthetic clip",
        description="Run a model that ships with edgeseg on a synthetic clip: key frames only, warped, propagated and adaptive, side by "
        "side in one video with what each frame cost and ids for all that is seen. Scores all of them against the truth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="edgeseg_demo.mp4", metavar="FILE", help="annotated video (default: %(default)s)")
    parser.add_argument("--frames", type=whole_number(1), default=120, metavar="N", help="length of the clip (default: %(default)s)")
    parser.add_argument("--panoptic", action="store_true", help="the panoptic model, which gives every pixel to a thing or to the ground")
    add_model_options(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    source = SyntheticSource(SceneConfig(seed=SEED, frame_count=args.frames))
    kind, bundle = (PANOPTIC, panoptic_demo_bundle()) if args.panoptic else (INSTANCES, demo_bundle())
    begin_s = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(source)
        sink = stack.enter_context(open_output(args.out, fps=source.fps, frame_count=source.frame_count))
        model = stack.enter_context(load(bundle, score_threshold=kind.score, build=WAIT, **model_options(args)))
        print(backend_text(model))
        runs = [
            Run(name, stack.enter_context(Pipeline(model, settings)), kind.judge(source.scene, model.bundle.labels))
            for name, settings in kind.contenders(model).items()
        ]
        bar = stack.enter_context(progress("segmenting", args.frames))
        for frame in source:
            picture = tiled([run.step(frame) for run in runs], COLUMNS)
            sink.write(dataclasses.replace(frame, pixels=picture), Result(frame.index, Step.KEY, (), frame.image_hw))
            bar.advance()
    taken_s, memory = time.monotonic() - begin_s, peak_memory_mib()
    print(f"found in {args.frames} frames: {runs[0].found_text()}")
    header = (*HEADER, *kind.scores, "ids")
    print(table([header, *(run.row() for run in runs)], right=range(1, len(header))))
    if lacking := runs[0].judge.lacking:
        print(lacking)
    print(f"{taken_s:.1f} s in all, drawing and encoding included" + (f"; peak memory {memory:.0f} MiB" if memory else ""))
    print(f"wrote {args.out}")
    return 0


def contenders(model: Model) -> dict[str, StreamSettings]:
    """What is shown side by side: name -> settings. Warped frames only where the bundle has the graph for them."""
    warped = {"fixed:5, warped": StreamSettings("fixed:5", "warp", track=True)} if model.can_warp else {}
    return {
        "every frame a key frame": StreamSettings("every", track=True),
        **warped,
        "fixed:5, propagated": StreamSettings("fixed:5", "propagate", track=True),
        "adaptive, propagated": StreamSettings("adaptive", "propagate", track=True, smooth=True),
    }


HEADER = ("schedule", "ms a frame", "key frames")


class Run:
    """One contender: its stream, what it found and what that cost."""

    def __init__(self, name: str, pipeline: Pipeline, judge: Judge) -> None:
        self.judge = judge
        self._name, self._pipeline = name, pipeline
        self._keys = 0
        self._found: Counter[str] = Counter()
        self._ids: set[int] = set()
        self._costs_s: list[float] = []

    def step(self, frame: Frame) -> U8Array:
        """Process a frame; its panel uint8 (h, w, 3) BGR with the step that it got and the cost."""
        start_s = time.perf_counter()
        result = self._pipeline.step(frame)
        self._costs_s.append(time.perf_counter() - start_s)
        self.judge.add(result)
        shown = _confident(result)
        self._count(shown)
        now_ms, mean_ms = self._costs_s[-1] * 1e3, self._mean_s() * 1e3
        text = f"{self._name}: {result.step.value} {now_ms:.1f} ms, mean {mean_ms:.1f} ms"
        return captioned(annotate(frame.pixels, shown), text, STEP_COLOURS[result.step])

    def _count(self, shown: Result) -> None:
        self._keys += shown.step is Step.KEY
        found = shown.instances
        if found is not None:
            self._found.update(shown.labels[k].name for k in found.classes)
            self._ids.update(found.track_ids[found.track_ids >= 0].tolist())

    def found_text(self) -> str:
        """How many of which class were found in all frames."""
        return ", ".join(f"{count} x {name}" for name, count in self._found.most_common()) or "nothing"

    def row(self) -> tuple[str, ...]:
        """A line for `HEADER`, scores and ids."""
        return (self._name, f"{self._mean_s() * 1e3:.1f}", str(self._keys), *self.judge.scores(), str(len(self._ids)))

    def _mean_s(self) -> float:
        """Mean cost of a frame; the first, in which backends finish their preparation, only counts while it is alone."""
        steady_s = self._costs_s[1:] or self._costs_s
        return sum(steady_s) / len(steady_s)


STEP_COLOURS = {Step.KEY: (64, 150, 255), Step.WARP: (170, 190, 60), Step.PROPAGATE: (220, 130, 80), Step.DROP: (120, 120, 120)}
"""BGR."""


def _confident(result: Result) -> Result:
    """Only the instances that ``edgeseg run`` would show by default."""
    found = result.instances
    return result if found is None else dataclasses.replace(result, instances=found.select(found.scores > DEFAULT_SCORE))


class ApJudge:
    """Mask AP and AP50 of the whole clip."""

    def __init__(self, scene: Scene, _labels: Sequence[Label]) -> None:
        self._scene = scene
        self._results: list[Result] = []
        self.lacking = ""
        try:
            MaskApMeter(scene.labels)
        except MissingDependencyError as error:
            self.lacking = f"mask AP not computed: {error}"

    def add(self, result: Result) -> None:
        # The AP is computed after the run, so that it costs the measured speed nothing.
        self._results.append(result)

    def scores(self) -> tuple[str, ...]:
        if self.lacking:
            return "-", "-"
        meter = MaskApMeter(self._scene.labels)
        for result in self._results:
            meter.add(result, self._scene.truth(result.frame_index).ground_truth())
        score = meter.compute()
        return f"{score.ap:.3f}", f"{score.ap50:.3f}"


@dataclass(frozen=True)
class Kind:
    """What there is to show."""

    score: float
    """Instances must score above it."""
    contenders: Callable[[Model], dict[str, StreamSettings]]
    judge: Callable[[Scene, Sequence[Label]], Judge]
    scores: tuple[str, ...]
    """Names of what the judge gives."""


INSTANCES = Kind(_AP_SCORE, contenders, ApJudge, ("mask AP", "AP50"))
PANOPTIC = Kind(DEFAULT_SCORE, panoptic_contenders, PanopticJudge, PANOPTIC_SCORES)
