"""``edgeseg eval``: how good a bundle is under several schedules, and what each costs."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.backends import WAIT
from edgeseg.cli.options import add_model_options, model_options, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.report import table
from edgeseg.cli.run import backend_text
from edgeseg.cli.scoring import AP_SCORE, MIN_VISIBLE, RunScore, compare
from edgeseg.cli.turns import Run, parse_run
from edgeseg.errors import UsageError
from edgeseg.model import Model, load
from edgeseg.sinks.target import check_file, write_error
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, LABELS, SceneConfig, are_of_scenes
from edgeseg.types import Label, Step

FIRST_SEED = HELD_OUT_FIRST_SEED + 200
DISTANCES_SHOWN = 13
_DEFAULT_RUNS = ("every", "every+track+smooth", "fixed:5+warp", "fixed:5+propagate", "adaptive")
_EXAMPLES = """RUN is SCHEDULE[+warp|+propagate][+track][+smooth][+overlap]. All runs see the same frames in turn.

examples:
  edgeseg eval BUNDLE --synthetic
  edgeseg eval BUNDLE --synthetic --clips 2 --frames 20 --run every+track --run fixed:5+propagate+track --json scores.json
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "eval",
        help="score a bundle under several schedules",
        description="Score a bundle on clips with exact ground truth: mask AP, also by distance to the key frame, identity (HOTA, IDF1), "
        "stability, and cost per frame, for each schedule.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    truth = parser.add_argument_group("ground truth").add_mutually_exclusive_group(required=True)
    truth.add_argument("--synthetic", action="store_true", help="made-up scenes; for bundles trained on them, like the one that ships")
    group = parser.add_argument_group("synthetic clips")
    group.add_argument("--clips", type=whole_number(1), default=5, metavar="N", help="how many (default: %(default)s)")
    group.add_argument("--frames", type=whole_number(1), default=60, metavar="N", help="length of each (default: %(default)s)")
    group.add_argument(
        "--seed",
        type=whole_number(0),
        default=FIRST_SEED,
        metavar="S",
        help=f"seed of the first, the others follow; training uses none from {HELD_OUT_FIRST_SEED} on (default: %(default)s)",
    )
    parser.add_argument(
        "--run", action="append", dest="runs", metavar="RUN", help=f"what to compare, repeatable (default: {', '.join(_DEFAULT_RUNS)})"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers as JSON")
    add_model_options(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    runs = [parse_run(text) for text in dict.fromkeys(args.runs or ())]
    if args.json is not None:
        check_file(args.json)
    clips = [SceneConfig(seed=args.seed + k, frame_count=args.frames) for k in range(args.clips)]
    with load(args.bundle, score_threshold=AP_SCORE, build=WAIT, **model_options(args)) as model:
        require_synthetic(model.bundle.labels, args.bundle)
        print(backend_text(model))
        runs = runs or default_runs(model)
        with progress("evaluating", len(runs) * args.clips * args.frames) as bar:
            scores = compare(model, runs, clips, bar.advance)
        record = {"what": clips_text(clips), "runs_on": f"{model.choice.name}: {model.runs_on}", "runs": [one.to_json() for one in scores]}
    print(f"{clips_text(clips)}\n\n{scores_text(scores)}")
    if args.json is not None:
        _write(args.json, json.dumps(record, indent=1, allow_nan=False))
    return 0


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


def default_runs(model: Model) -> list[Run]:
    """What is compared when nothing is asked for; warped frames only where the bundle has the graph for them."""
    return [parse_run(text) for text in _DEFAULT_RUNS if model.can_warp or "+warp" not in text]


def clips_text(clips: Sequence[SceneConfig]) -> str:
    """What was measured on."""
    first, last = clips[0], clips[-1]
    height, width = first.size_hw
    seeds = f"seed {first.seed}" if first is last else f"seeds {first.seed} to {last.seed}"
    return (
        f"{len(clips)} synthetic clip{'s' * (len(clips) > 1)} of {first.frame_count} frames, {width}x{height}, {seeds}; "
        f"objects of which less than {MIN_VISIBLE:.0%} is seen are ignored"
    )


def scores_text(scores: Sequence[RunScore]) -> str:
    """Two tables with a row per run: cost and scores, and AP by distance to the key frame."""
    header = ("run", "ms/frame", "key", "warp", "propagate", "mask AP", "HOTA", "IDF1", "flicker", "events/100")
    blocks = [table([header, *map(_row, scores)], right=range(1, len(header)))]
    distances = sorted({distance for score in scores for distance in score.ap.at})
    if distances[-1] > 0:
        shown = distances[:DISTANCES_SHOWN]
        more = f" (up to {shown[-1]}; --json has those to {distances[-1]})" if len(shown) < len(distances) else ""
        rows = [[score.run.name, *(_score(score.ap.at[d].ap) if d in score.ap.at else "" for d in shown)] for score in scores]
        heading = f"mask AP by frames since the key frame{more}:"
        blocks.append(heading + "\n" + table([("run", *map(str, shown)), *rows], right=range(1, len(shown) + 1)))
    return "\n\n".join(blocks)


def _row(score: RunScore) -> Sequence[str]:
    counts, ids, steady = score.counts, score.identity, score.stability
    return (
        score.run.name,
        f"{score.mean_s * 1e3:.2f}",
        *(str(counts[step]) for step in (Step.KEY, Step.WARP, Step.PROPAGATE)),
        _score(score.ap.overall.ap),
        *(("-", "-") if ids is None else (_score(ids.hota), _score(ids.idf1))),
        *(("-", "-") if steady is None else (_score(steady.flicker, digits=4), f"{steady.events_per_100:.1f}")),
    )


def _score(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise write_error(path, error) from error
    print(f"\nwrote {path}")
