"""One 1080p frame in, run-length masks out: edgeseg on each CPU backend against the same torch module in eager mode.

python -m benchmarks.yolact_frame --weights yolact_resnet50_54_800000.pth
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.errors import UsageError
from edgeseg.types import U8Array
from export.checkpoints import load_checkpoint
from export.recipes import recipe
from export.recipes.base import ExportOptions
from export.run import Job, export_bundle

from .conditions import conditions, peak_memory_mb
from .eager_yolact import EagerYolact
from .frame import FRAME_HW, MEMORY_RUNS, frame, ours, share_outside
from .paired import Contender, measure, ratio

RECIPE = "yolact_resnet50"
DETECTIONS = 20
BACKENDS = ("openvino", "onnxruntime")
EAGER = "torch eager"


def main() -> int:
    """Measure, print a table, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.yolact_frame", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help=f"checkpoint of {RECIPE}")
    parser.add_argument("--rounds", type=int, default=20, help="counted rounds (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before, kept apart (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    parser.add_argument("--eager-memory-at", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.eager_memory_at is not None:
        print(json.dumps(_eager_memory_mb(args.weights, args.eager_memory_at)))
        return 0
    record = _record(args)
    print(json.dumps({key: value for key, value in record.items() if key != "timings"}, indent=1))
    for name, timing in record["timings"].items():
        print(f"{name:14} median {timing['median_ms']:8.1f} ms   p99 {timing['p99_ms']:8.1f} ms   {timing['parts_median_ms']}")
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _record(args: argparse.Namespace) -> dict[str, Any]:
    before = conditions()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        export_bundle(Job(recipe(RECIPE), args.weights, bundle, ExportOptions()), lambda _: None)
        picture = frame()
        score = score_for(bundle, picture)
        models = {name: edgeseg.load(bundle, backend=name, score_threshold=score) for name in BACKENDS}
        eager = EagerYolact(load_checkpoint(args.weights, recipe(RECIPE)), score)
        contenders: dict[str, Contender] = {name: ours(model, picture) for name, model in models.items()}
        contenders[EAGER] = torch_frame(eager, picture)
        timings = measure(contenders, args.rounds, args.warm_up)
        memory = {name: _memory_mb(args.weights, bundle, name, score) for name in contenders}
        found = {name: len(model(picture).instances or ()) for name, model in models.items()} | {EAGER: len(eager(picture))}
    return {
        "what": f"{RECIPE}, {FRAME_HW[1]} x {FRAME_HW[0]} frame in, run-length masks out",
        "conditions": before,
        "weights": args.weights.name,
        "score": score,
        "detections": found,
        "times_as_fast_as_eager": {name: ratio(timings[EAGER], timings[name]) for name in BACKENDS},
        "outside_session_run": {name: share_outside(timings[name].parts_s) for name in BACKENDS},
        "peak_memory_mb": memory,
        "timings": {name: timing.to_json() for name, timing in timings.items()},
    }


def score_for(bundle: Path, picture: U8Array, count: int = DETECTIONS) -> float:
    """The threshold that lets about so many instances through.

    Raises:
        UsageError: the model finds fewer, whatever the threshold.
    """
    with edgeseg.load(bundle, score_threshold=0.0) as model:
        scores = np.sort(model(picture).instances.scores)[::-1]
    if len(scores) < count:
        raise UsageError(f"{bundle.name} finds {len(scores)} instances in all, which are fewer than {count}: ask for no more than that")
    # Half way to the next score, so that rounding does not decide how many pass.
    return float(scores[count - 1 : count + 1].mean())


def torch_frame(eager: EagerYolact, picture: U8Array) -> Contender:
    """The same frame through torch in eager mode."""

    def work() -> Mapping[str, float]:
        eager(picture)
        return {}

    return work


def _memory_mb(weights: Path, bundle: Path, name: str, score: float) -> float:
    """Peak memory of a fresh process that does nothing else."""
    own = ["benchmarks.yolact_frame", "--weights", str(weights), "--eager-memory-at", str(score)]
    module = own if name == EAGER else ["benchmarks.frame", str(bundle), name, str(score)]
    done = subprocess.run([sys.executable, "-m", *module], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout))


def _eager_memory_mb(weights: Path, score: float) -> float:
    eager = EagerYolact(load_checkpoint(weights, recipe(RECIPE)), score)
    for _ in range(MEMORY_RUNS):
        eager(frame())
    return round(peak_memory_mb(), 1)


if __name__ == "__main__":
    raise SystemExit(main())
