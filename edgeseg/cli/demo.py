"""``edgeseg demo``: the shipped bundle on a synthetic clip."""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from contextlib import ExitStack
from typing import Any

from edgeseg.cli.options import add_model_options, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.report import summary_text
from edgeseg.cli.run import backend_text
from edgeseg.data import demo_bundle
from edgeseg.errors import MissingDependencyError
from edgeseg.evaluation import MaskApMeter
from edgeseg.model import DEFAULT_SCORE, load
from edgeseg.pipeline import Pipeline
from edgeseg.sinks import Sink, open_output
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig, SyntheticSource
from edgeseg.stream import run as run_stream
from edgeseg.types import Frame, Result

SEED = HELD_OUT_FIRST_SEED + 1
_AP_SCORE = 0.05
"""Average precision is defined over weak detections too; the video shows those above `DEFAULT_SCORE`."""
_EXAMPLES = """examples:
  edgeseg demo
  edgeseg demo --out out.mp4 --frames 30 --backend onnxruntime
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "demo",
        help="run the shipped model on a synthetic clip",
        description="Run the model that ships with edgeseg on a synthetic clip, write the annotated video and score it against the truth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="edgeseg_demo.mp4", metavar="FILE", help="annotated video (default: %(default)s)")
    parser.add_argument("--frames", type=whole_number(1), default=120, metavar="N", help="length of the clip (default: %(default)s)")
    add_model_options(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    results: list[Result] = []
    source = SyntheticSource(SceneConfig(seed=SEED, frame_count=args.frames))
    with ExitStack() as stack:
        stack.enter_context(source)
        sink = stack.enter_context(_Confident(open_output(args.out, fps=source.fps, frame_count=source.frame_count)))
        model = stack.enter_context(
            load(demo_bundle(), backend=args.backend, precision=args.precision, threads=args.threads, score_threshold=_AP_SCORE)
        )
        print(backend_text(model))
        bar = stack.enter_context(progress("segmenting", args.frames))

        def keep(result: Result) -> None:
            results.append(result)
            bar.advance()

        summary = run_stream(source, Pipeline(model), [sink], on_frame=keep)
    counts = Counter(result.labels[k].name for result in map(_confident, results) if result.instances for k in result.instances.classes)
    summary.detections = sum(counts.values())
    print(f"found in {summary.frames} frames: {', '.join(f'{count} x {name}' for name, count in counts.most_common()) or 'nothing'}")
    print(_ap_text(results, source.scene))
    print(summary_text(summary))
    print(f"wrote {args.out}")
    return 0


class _Confident(Sink):
    """Hands on only the instances that ``edgeseg run`` would show by default."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, frame: Frame, result: Result) -> None:
        self._sink.write(frame, _confident(result))

    def close(self) -> None:
        self._sink.close()


def _confident(result: Result) -> Result:
    found = result.instances
    return result if found is None else dataclasses.replace(result, instances=found.select(found.scores > DEFAULT_SCORE))


def _ap_text(results: list[Result], scene: Scene) -> str:
    """Mask AP of the whole clip. Computed after the run, so that it costs the measured speed nothing."""
    try:
        meter = MaskApMeter(scene.labels)
    except MissingDependencyError as error:
        return f"mask AP not computed: {error}"
    for result in results:
        meter.add(result, scene.truth(result.frame_index).ground_truth())
    score = meter.compute()
    return f"mask AP on this clip {score.ap:.3f}, AP50 {score.ap50:.3f} ({score.instances} true instances, training never saw this scene)"
