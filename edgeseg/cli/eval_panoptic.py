"""``edgeseg eval --panoptic``: PQ, VPQ and identity of a bundle under several schedules, and what each costs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.backends import WAIT
from edgeseg.cli.options import model_options
from edgeseg.cli.panoptic_clips import FileClip, PanopticScene, SyntheticClip
from edgeseg.cli.progress import progress
from edgeseg.cli.report import backend_text, number, table
from edgeseg.cli.scoring import clips_text, require_synthetic
from edgeseg.cli.scoring_panoptic import PanopticRunScore, compare_panoptic
from edgeseg.cli.turns import Clip, Run, parse_run
from edgeseg.errors import UsageError
from edgeseg.evaluation.panoptic_files import COCO, open_panoptic
from edgeseg.evaluation.vpq import LABELLED_EVERY, WINDOWS
from edgeseg.loader import load
from edgeseg.model import Model
from edgeseg.sources.synthetic import SceneConfig
from edgeseg.types import Label

SYNTHETIC = "synthetic"
DEFAULT_RUNS = ("every+track", "fixed:5+propagate+track")
_PICTURE_RUNS = ("every",)
_MEASURES = """PQ, SQ and RQ are of single frames, means over classes. VPQ k is the PQ of tubes that span k frames, VPQ the mean over k;
without +track every thing is another one in each frame. HOTA and IDF1 are those of the things' masks."""


@dataclass(frozen=True, repr=False)
class Material:
    """What a bundle is scored on."""

    what: str
    clips: Sequence[SyntheticClip] | Sequence[FileClip]
    spacing: int | None
    """See `compare_panoptic`."""

    @property
    def frames(self) -> int:
        """Of all clips together."""
        return sum(map(len, self.clips))


def score_panoptic(args: argparse.Namespace, runs: Sequence[Run], scenes: Sequence[SceneConfig]) -> dict[str, Any]:
    """Score a bundle, print the tables, and return the record for ``--json``.

    Args:
        args: of ``edgeseg eval`` with ``--panoptic``.
        runs: what to compare; none = `DEFAULT_RUNS`.
        scenes: the synthetic clips, if it is these.

    Raises:
        EdgesegError: the bundle gives no panoptic maps, or its classes are not those of the ground truth.
    """
    with load(args.bundle, build=WAIT, **model_options(args)) as model:
        _require_panoptic(model)
        labels = model.bundle.labels
        material = _synthetic(args.bundle, scenes, labels) if args.panoptic == SYNTHETIC else _data_set(args, labels)
        print(backend_text(model))
        runs = runs or [parse_run(text) for text in (_PICTURE_RUNS if material.spacing is None else DEFAULT_RUNS)]
        clips: Sequence[Clip[PanopticScene | None]] = material.clips
        with progress("evaluating", len(runs) * material.frames) as bar:
            scores = compare_panoptic(model, runs, clips, material.spacing, bar.advance)
        runs_on = f"{model.choice.name}: {model.runs_on}"
    print(f"{material.what}\n\n{scores_text(scores)}\n\n{_MEASURES}")
    return {"what": material.what, "runs_on": runs_on, "runs": [one.to_json() for one in scores]}


def _require_panoptic(model: Model) -> None:
    if not model.gives_panoptic:
        raise UsageError(
            f"{model.bundle.path} gives no panoptic maps (its family is {model.bundle.family}). Score it with --synthetic, or give a "
            "bundle of family panoptic."
        )


def _synthetic(bundle: Path, scenes: Sequence[SceneConfig], labels: Sequence[Label]) -> Material:
    """All frames are labelled: windows of VPQ take every fifth, from each frame on, so that k is what it is in Cityscapes-VPS."""
    require_synthetic(labels, bundle)
    return Material(clips_text(scenes), [SyntheticClip(scene, labels) for scene in scenes], LABELLED_EVERY)


def _data_set(args: argparse.Namespace, labels: Sequence[Label]) -> Material:
    found = open_panoptic(Path(args.panoptic), labels, args.panoptic_layout)
    clips = [FileClip(clip, labels, args.frames) for clip in found.clips[: args.clips]]
    what = "picture" if found.layout == COCO else "video"
    frames = "" if found.layout == COCO else f" of {sum(map(len, clips))} frames"
    text = f"{len(clips)} {what}{'s' * (len(clips) != 1)}{frames} of {found.file} (layout {found.layout})"
    return Material(text, clips, None if found.layout == COCO else 1)


def scores_text(scores: Sequence[PanopticRunScore]) -> str:
    """A row per run: cost, PQ, VPQ and identity."""
    header = ["run", "ms/frame", "PQ", "SQ", "RQ", "PQ things", "PQ stuff", *(f"VPQ {k}" for k in WINDOWS), "VPQ", "HOTA", "IDF1"]
    rows = [header, *map(_row, scores)]
    # What nobody has, such as video quality of single pictures, gets no column.
    shown = [column for column in range(len(header)) if any(row[column] for row in rows[1:])]
    return table([[row[column] for column in shown] for row in rows], right=range(1, len(shown)))


def _row(score: PanopticRunScore) -> list[str]:
    whole, vpq, ids = score.pq.overall, score.vpq, score.identity
    video = [""] * (len(WINDOWS) + 1) if vpq is None else [*(number(one.overall.pq) for one in vpq.at.values()), number(vpq.mean)]
    return [
        score.run.name,
        f"{score.mean_s * 1e3:.2f}",
        *map(number, (whole.pq, whole.sq, whole.rq, score.pq.things.pq, score.pq.stuff.pq)),
        *video,
        *(("", "") if ids is None else (number(ids.hota), number(ids.idf1))),
    ]
