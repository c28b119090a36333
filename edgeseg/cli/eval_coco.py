"""``edgeseg eval --coco``: mask AP of a bundle on pictures with annotations in COCO's format."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeseg.backends import WAIT
from edgeseg.cli.options import model_options
from edgeseg.cli.progress import progress
from edgeseg.cli.report import backend_text, number, table
from edgeseg.cli.scoring import AP_SCORE, ObjectTruth, RunScore, score_clips
from edgeseg.cli.turns import Run, parse_run
from edgeseg.errors import EvaluationError
from edgeseg.evaluation import CocoTruth, coded
from edgeseg.loader import load
from edgeseg.paths import is_file
from edgeseg.sources.picture import read_picture
from edgeseg.types import Frame

_RUN = "every"
_MEASURES = f"""AP is the mean over IoU 0.50 to 0.95 and over classes, of all sizes, of at most 100 instances a picture, which score more
than {AP_SCORE:g}; crowds are ignored."""


class PictureClip:
    """A picture of a data set as a clip of one frame."""

    fps = 1.0
    """Nothing depends on it."""

    def __init__(self, folder: Path, name: str, truth: CocoTruth) -> None:
        self.name = name
        self._path, self._truth = folder / name, truth

    def __iter__(self) -> Iterator[tuple[Frame, ObjectTruth]]:
        frame = Frame(read_picture(self._path), 0, time.monotonic(), self.name, 0.0)
        there = self._truth.of(self.name, frame.image_hw)
        if there is None:
            raise EvaluationError(f"{self.name} is no picture of the annotations")
        yield frame, ObjectTruth(coded(there))


def score_coco(args: argparse.Namespace, runs: Sequence[Run]) -> dict[str, Any]:
    """Score a bundle, print the tables, and return the record for ``--json``.

    Args:
        args: of ``edgeseg eval`` with ``--coco``.
        runs: what to compare; none = every picture with the full network.

    Raises:
        EdgesegError: the annotations cannot be read, are of other classes or sizes, or none of their pictures is there.
    """
    folder = args.coco.parent if args.pictures is None else args.pictures
    with load(args.bundle, score_threshold=AP_SCORE, build=WAIT, **model_options(args)) as model:
        truth = CocoTruth(args.coco, model.bundle.labels)
        there = _there(folder, truth.names, args.coco)
        clips = [PictureClip(folder, name, truth) for name in there[: args.clips]]
        print(backend_text(model))
        runs = runs or [parse_run(_RUN)]
        with progress("evaluating", len(runs) * len(clips)) as bar:
            scores = score_clips(model, runs, clips, bar.advance)
        runs_on = f"{model.choice.name}: {model.runs_on}"
    absent = len(truth.names) - len(there)
    missing = f"; {absent} of its pictures {'is' if absent == 1 else 'are'} not in {folder}" if absent else ""
    what = f"{len(clips)} picture{'s' * (len(clips) != 1)} of {args.coco}{missing}"
    print(f"{what}\n\n{scores_text(scores)}\n\n{_MEASURES}")
    return {"what": what, "runs_on": runs_on, "runs": [one.to_json() for one in scores]}


def _there(folder: Path, names: Sequence[str], file: Path) -> list[str]:
    """Those of the pictures that are in the folder; names may lead into folders below it, and nowhere else."""
    there = [name for name in names if is_file(folder / name) and (folder / name).resolve().is_relative_to(folder.resolve())]
    if not there:
        of = f", such as {names[0]}" if names else ""
        raise EvaluationError(f"none of the {len(names)} pictures of {file}{of}, is in {folder}. Give their folder with --pictures.")
    return there


def scores_text(scores: Sequence[RunScore]) -> str:
    """A row for each run, and one for each class that is in the pictures."""
    whole = [
        (score.run.name, f"{score.mean_s * 1e3:.2f}", *map(number, (score.ap.overall.ap, score.ap.overall.ap50, score.ap.overall.ap75)))
        for score in scores
    ]
    counted = scores[0].ap.overall
    present = [name for name, ap in counted.per_class.items() if ap == ap]
    classes = [(name, *(number(score.ap.overall.per_class[name]) for score in scores)) for name in present]
    return "\n\n".join(
        [
            f"{counted.instances} true instances of {len(present)} classes",
            table([("run", "ms/frame", "mask AP", "AP50", "AP75"), *whole], right=range(1, 5)),
            table([("mask AP", *(score.run.name for score in scores)), *classes], right=range(1, 1 + len(scores))),
        ]
    )
