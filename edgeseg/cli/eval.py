"""``edgeseg eval``: how good a bundle is under several schedules, and what each costs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.backends import WAIT
from edgeseg.cli.eval_coco import score_coco
from edgeseg.cli.eval_panoptic import DEFAULT_RUNS, SYNTHETIC, score_panoptic
from edgeseg.cli.options import add_model_options, model_options, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.report import backend_text, number, table
from edgeseg.cli.scoring import AP_SCORE, RunScore, clips_text, compare, require_synthetic
from edgeseg.cli.turns import Run, parse_run
from edgeseg.errors import UsageError
from edgeseg.evaluation.panoptic_files import LAYOUTS
from edgeseg.loader import load
from edgeseg.model import Model
from edgeseg.sinks.target import check_file, write_error
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, SceneConfig
from edgeseg.types import Step

FIRST_SEED = HELD_OUT_FIRST_SEED + 200
DISTANCES_SHOWN = 13
_DEFAULT_RUNS = ("every", "every+track+smooth", "fixed:5+warp", "fixed:5+propagate", "adaptive")
_CLIPS, _FRAMES = 5, 60
_EXAMPLES = """RUN is SCHEDULE[+warp|+propagate][+track][+smooth][+overlap][+faithful]. All runs see the same frames in turn.

examples:
  edgeseg eval BUNDLE --synthetic
  edgeseg eval BUNDLE --synthetic --clips 2 --frames 20 --run every+track --run fixed:5+propagate+track --json scores.json
  edgeseg eval BUNDLE --coco annotations/val.json --pictures val/
  edgeseg eval BUNDLE --panoptic synthetic --run every+track --run fixed:5+propagate+track
  edgeseg eval BUNDLE --panoptic cityscapes_vps/val
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "eval",
        help="score a bundle under several schedules",
        description="Score a bundle on clips with ground truth, for each schedule: mask AP, also by distance to the key frame, identity "
        "(HOTA, IDF1), stability, and cost per frame; on annotated pictures mask AP; or, of panoptic maps, PQ, VPQ, identity and cost.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    _add_truth_options(parser)
    instances, maps = (", ".join(names) for names in (_DEFAULT_RUNS, DEFAULT_RUNS))
    what = f"what to compare, repeatable (default: {instances}; with --panoptic: {maps}; of pictures: every)"
    parser.add_argument("--run", action="append", dest="runs", metavar="RUN", help=what)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers as JSON")
    add_model_options(parser)
    parser.set_defaults(main=main)


def _add_truth_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("ground truth")
    truth = group.add_mutually_exclusive_group(required=True)
    truth.add_argument("--synthetic", action="store_true", help="made-up scenes; for bundles trained on them, like the one that ships")
    truth.add_argument("--coco", metavar="FILE", type=Path, help="score instances in pictures: their annotations in COCO's format")
    truth.add_argument(
        "--panoptic",
        metavar="SOURCE",
        help=f"score panoptic maps: '{SYNTHETIC}', or the folder or JSON file of a data set laid out as COCO panoptic or Cityscapes-VPS",
    )
    group.add_argument("--pictures", metavar="DIR", type=Path, help="where the pictures of --coco are (default: beside that file)")
    group.add_argument("--panoptic-layout", choices=LAYOUTS, help="how the data set is laid out (default: by what is there)")
    group = parser.add_argument_group("clips")
    group.add_argument("--clips", type=whole_number(1), metavar="N", help=f"how many (default: {_CLIPS} synthetic ones, all of a data set)")
    group.add_argument("--frames", type=whole_number(1), metavar="N", help=f"first of each (default: {_FRAMES} synthetic ones, else all)")
    group.add_argument(
        "--seed",
        type=whole_number(0),
        default=FIRST_SEED,
        metavar="S",
        help=f"of the first synthetic one, the others follow; training uses none from {HELD_OUT_FIRST_SEED} on (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    runs = [parse_run(text) for text in dict.fromkeys(args.runs or ())]
    if args.json is not None:
        check_file(args.json)
    clips = [SceneConfig(seed=args.seed + k, frame_count=args.frames or _FRAMES) for k in range(args.clips or _CLIPS)]
    if args.pictures is not None and args.coco is None:
        raise UsageError("--pictures names the pictures of --coco. Give --coco FILE as well.")
    if args.coco is not None:
        record = score_coco(args, runs)
    else:
        record = score_panoptic(args, runs, clips) if args.panoptic else _score_instances(args, runs, clips)
    if args.json is not None:
        _write(args.json, json.dumps(record, indent=1, allow_nan=False))
    return 0


def _score_instances(args: argparse.Namespace, runs: list[Run], clips: Sequence[SceneConfig]) -> dict[str, Any]:
    """Score a bundle's instances, print the tables, and return the record."""
    with load(args.bundle, score_threshold=AP_SCORE, build=WAIT, **model_options(args)) as model:
        require_synthetic(model.bundle.labels, args.bundle)
        print(backend_text(model))
        runs = runs or default_runs(model)
        with progress("evaluating", len(runs) * sum(clip.frame_count for clip in clips)) as bar:
            scores = compare(model, runs, clips, bar.advance)
        runs_on = f"{model.choice.name}: {model.runs_on}"
    print(f"{clips_text(clips)}\n\n{scores_text(scores)}")
    return {"what": clips_text(clips), "runs_on": runs_on, "runs": [one.to_json() for one in scores]}


def default_runs(model: Model) -> list[Run]:
    """What is compared when nothing is asked for, as far as the bundle can do it."""
    cannot = {"warp": not model.can_warp, "smooth": model.gives_panoptic}
    return [parse_run(text) for text in _DEFAULT_RUNS if not any(cannot.get(word) for word in text.split("+"))]


def scores_text(scores: Sequence[RunScore]) -> str:
    """Two tables with a row per run: cost and scores, and AP by distance to the key frame."""
    header = ("run", "ms/frame", "key", "warp", "propagate", "mask AP", "HOTA", "IDF1", "flicker", "events/100")
    blocks = [table([header, *map(_row, scores)], right=range(1, len(header)))]
    distances = sorted({distance for score in scores for distance in score.ap.at})
    if distances[-1] > 0:
        shown = distances[:DISTANCES_SHOWN]
        more = f" (up to {shown[-1]}; --json has those to {distances[-1]})" if len(shown) < len(distances) else ""
        rows = [[score.run.name, *(number(score.ap.at[d].ap) if d in score.ap.at else "" for d in shown)] for score in scores]
        heading = f"mask AP by frames since the key frame{more}:"
        blocks.append(heading + "\n" + table([("run", *map(str, shown)), *rows], right=range(1, len(shown) + 1)))
    return "\n\n".join(blocks)


def _row(score: RunScore) -> Sequence[str]:
    counts, ids, steady = score.counts, score.identity, score.stability
    return (
        score.run.name,
        f"{score.mean_s * 1e3:.2f}",
        *(str(counts[step]) for step in (Step.KEY, Step.WARP, Step.PROPAGATE)),
        number(score.ap.overall.ap),
        *(("-", "-") if ids is None else (number(ids.hota), number(ids.idf1))),
        *(("-", "-") if steady is None else (number(steady.flicker, digits=4), f"{steady.events_per_100:.1f}")),
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise write_error(path, error) from error
    print(f"\nwrote {path}")
