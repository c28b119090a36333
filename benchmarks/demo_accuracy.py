"""Mask AP of a bundle on held-out synthetic frames, and its speed while doing so.

python -m benchmarks.demo_accuracy
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import edgeseg
from edgeseg.cli.progress import progress
from edgeseg.evaluation import MaskApMeter
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.stream import StageTimes

from .conditions import conditions

FRAMES_PER_SCENE = 5
SCORE = 0.05


def main() -> int:
    """Score, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo_accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=edgeseg.demo_bundle(), help="bundle to score (default: the demo bundle)")
    parser.add_argument("--frames", type=int, default=500, help="frames, five a scene (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="backend (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="precision (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    record = score(args.bundle, args.frames, args.backend, args.precision)
    print(json.dumps(record, indent=1))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def score(bundle: Path, frames: int, backend: str, precision: str = "auto") -> dict[str, object]:
    """AP over every visible instance, however little of it is seen, and over those of which 15 % or more is."""
    before = conditions()
    spans = {name: StageTimes() for name in ("prepare", "infer", "decode")}
    opened = edgeseg.load(bundle, backend=backend, precision=precision, score_threshold=SCORE)
    with opened as model, progress("scoring", total=frames) as bar:
        strict, lenient = MaskApMeter(model.bundle.labels), MaskApMeter(model.bundle.labels)
        for number in range(frames):
            config = SceneConfig(seed=HELD_OUT_FIRST_SEED + number // FRAMES_PER_SCENE)
            scene = Scene(config)
            index = (number % FRAMES_PER_SCENE) * config.frame_count // FRAMES_PER_SCENE
            result, truth = model(scene.render(index)), scene.truth(index)
            strict.add(result, truth.ground_truth())
            lenient.add(result, truth.ground_truth(min_visible_fraction=0.15))
            for name, times in spans.items():
                times.add(result.spans[name])
            bar.advance()
        runs_on = f"{model.choice.name}: {model.runs_on}"
    return {
        "what": f"{frames} held-out synthetic frames of 640 x 360, seeds from {HELD_OUT_FIRST_SEED}",
        "conditions": before,
        "runs_on": runs_on,
        "every_visible_instance": vars(strict.compute()),
        "instances_at_least_15_percent_visible": vars(lenient.compute()),
        "median_ms": {name: round(times.median_s * 1e3, 2) for name, times in spans.items()},
    }


if __name__ == "__main__":
    raise SystemExit(main())
