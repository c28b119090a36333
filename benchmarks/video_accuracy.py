"""What video costs in accuracy: schedules on the same held-out synthetic clips, in turns, each timed and scored.

python -m benchmarks.video_accuracy --out results.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.cli.eval import FIRST_SEED, scores_text
from edgeseg.cli.progress import progress
from edgeseg.cli.scoring import AP_SCORE, RunScore, clips_text, compare, require_synthetic
from edgeseg.cli.turns import parse_run
from edgeseg.sources.synthetic import SceneConfig

from .conditions import conditions

REFERENCE = "every"
TRACKED = f"{REFERENCE}+track"
STEADY = f"{REFERENCE}+track+smooth"
INTERVALS = (2, 5, 8)
DRIFTS = ("0.1", "0.15", "0.2", "0.28")
BETWEEN = ("warp", "propagate")
LEADING = 5
"""The interval that bounds are stated for: YolactEdge's."""

Runs = Mapping[str, dict[str, Any]]


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.video_accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=edgeseg.demo_bundle(), help="bundle to score (default: the demo bundle)")
    parser.add_argument("--clips", type=int, default=20, help="clips (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=100, help="frames of each (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="backend (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    clips = [SceneConfig(seed=FIRST_SEED + k, frame_count=args.frames) for k in range(args.clips)]
    record = measure(args.bundle, args.backend, args.threads, clips)
    print(json.dumps(record["bounds"], indent=1))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def names(*, can_warp: bool) -> list[str]:
    """The runs: every frame, with and without ids and smoothing; every interval and drift, with each step that the bundle can do."""
    between = BETWEEN if can_warp else BETWEEN[1:]
    fixed = [f"fixed:{interval}+{step}" for step in between for interval in INTERVALS]
    tracked = [f"fixed:{LEADING}+{step}+track" for step in between]
    return [REFERENCE, TRACKED, STEADY, *fixed, *tracked, *(f"adaptive:{drift}+{step}" for step in between for drift in DRIFTS)]


def measure(bundle: Path, backend: str, threads: int | None, clips: Sequence[SceneConfig]) -> dict[str, Any]:
    """All runs on all clips, in one go."""
    before = conditions()
    with edgeseg.load(bundle, backend=backend, threads=threads, score_threshold=AP_SCORE) as model:
        require_synthetic(model.bundle.labels, bundle)
        runs = [parse_run(name) for name in names(can_warp=model.can_warp)]
        with progress("measuring", len(runs) * sum(clip.frame_count for clip in clips)) as bar:
            scores = compare(model, runs, clips, bar.advance)
        made = {"recipe": model.bundle.recipe, "hashes": dict(model.bundle.hashes)}
        runs_on = f"{model.choice.name}: {model.runs_on}"
    print(scores_text(scores))
    found = {score.run.name: _record(score) for score in scores}
    return {
        "what": clips_text(clips),
        "conditions": before,
        "load_1_min_after": conditions()["load_1_min"],
        "bundle": made,
        "runs_on": runs_on,
        "bounds": bounds(found),
        "runs": list(found.values()),
    }


def _record(score: RunScore) -> dict[str, Any]:
    keys = score.counts[edgeseg.Step.KEY]
    return {**score.to_json(), "mean_interval": round(score.counts.total() / keys, 3)}


def bounds(runs: Runs) -> dict[str, Any]:
    """What the runs say together: losses in AP points against every frame, costs clip by clip against it, ids and flicker."""
    between = [step for step in BETWEEN if f"fixed:{LEADING}+{step}" in runs]
    steady, shaky = runs[STEADY]["stability"], runs[REFERENCE]["stability"]
    return {
        "ap_points_lost": {name: points_lost(runs, name) for name in runs if name != REFERENCE},
        "cost_of_every": {name: relative_cost(runs, name) for name in runs if name != REFERENCE},
        f"adaptive_at_the_cost_of_fixed_{LEADING}": {step: adaptive_at_equal_cost(runs, step) for step in between},
        "hota_of_every_tracked": {
            name: round(run["identity"]["hota"] / runs[TRACKED]["identity"]["hota"], 4)
            for name, run in runs.items()
            if run["identity"] and name != TRACKED
        },
        "flicker_of_every_smoothed": round(steady["flicker"] / shaky["flicker"], 4) if steady and shaky["flicker"] else None,
    }


def points_lost(runs: Runs, name: str) -> float:
    """AP points (hundredths) that a run is below every frame a key frame."""
    return round(100 * (runs[REFERENCE]["mask_ap"]["ap"] - runs[name]["mask_ap"]["ap"]), 3)


def relative_cost(runs: Runs, name: str) -> dict[str, float]:
    """A run's mean cost over that of every frame a key frame: of all clips together, and the quartiles of the clips."""
    ratios = np.array(runs[name]["clip_mean_ms"]) / np.array(runs[REFERENCE]["clip_mean_ms"])
    low, high = np.percentile(ratios, [25, 75])
    whole = runs[name]["cost_ms"]["mean"] / runs[REFERENCE]["cost_ms"]["mean"]
    return {"mean": round(whole, 4), "lower_quartile": round(float(low), 4), "upper_quartile": round(float(high), 4)}


def adaptive_at_equal_cost(runs: Runs, step: str) -> dict[str, float | None]:
    """AP points lost by the fixed schedule and by the adaptive one at the same mean cost, read off between its settings.

    The adaptive value is null where the fixed schedule is cheaper or dearer than all settings.
    """
    fixed = f"fixed:{LEADING}+{step}"
    adaptive = [f"adaptive:{drift}+{step}" for drift in DRIFTS]
    costs, losses = np.array(sorted((relative_cost(runs, name)["mean"], points_lost(runs, name)) for name in adaptive)).T
    cost = relative_cost(runs, fixed)["mean"]
    inside = costs[0] <= cost <= costs[-1]
    return {
        "cost_of_every": cost,
        "fixed_points_lost": points_lost(runs, fixed),
        "adaptive_points_lost": round(float(np.interp(cost, costs, losses)), 3) if inside else None,
    }


if __name__ == "__main__":
    raise SystemExit(main())
