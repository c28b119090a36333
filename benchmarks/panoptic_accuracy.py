"""Does VPSNet see and recognise better than UPSNet frame by frame with a tracker? The small models on held-out synthetic clips.

python -m benchmarks.panoptic_accuracy --out benchmarks/results/panoptic_accuracy.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.cli.eval import FIRST_SEED
from edgeseg.cli.panoptic_clips import SyntheticClip
from edgeseg.cli.progress import progress
from edgeseg.cli.report import table
from edgeseg.cli.scoring import clips_text
from edgeseg.evaluation import IdentityMeter, VpqMeter, coded
from edgeseg.evaluation.vpq import LABELLED_EVERY
from edgeseg.families import Decoded
from edgeseg.identities import Identities
from edgeseg.model import Carry
from edgeseg.motion import Motion, MotionEstimator
from edgeseg.ops.boxes import box_iou
from edgeseg.regions import with_track_ids
from edgeseg.sources.synthetic import SceneConfig
from edgeseg.types import F32Array, Frame, I64Array, Step

from .conditions import conditions

UPSNET = Path(__file__).parent.parent / "tests" / "data" / "panoptic" / "upsnet_demo"
IOU_MIN = 0.3
IOU_AGE_FRAMES = 30


class IouTracker:
    """The plain baseline: boxes of one class in one frame and the last, best overlap first; what is lost is remembered where it was."""

    def __init__(self) -> None:
        self._boxes = np.zeros((0, 4), np.float32)
        self._classes, self._ids, self._ages = (np.zeros(0, np.int64) for _ in range(3))
        self._next = 0

    def update(self, boxes: F32Array, classes: I64Array) -> I64Array:
        """Ids int64 (N,) of the next frame's boxes float32 (N, 4), in pixels, of classes int64 (N,)."""
        overlap = np.where(classes[:, None] == self._classes[None], box_iou(boxes, self._boxes), 0.0)
        ids = np.full(len(boxes), -1, np.int64)
        while overlap.size and overlap.max() > IOU_MIN:
            row, column = np.unravel_index(overlap.argmax(), overlap.shape)
            ids[row] = self._ids[column]
            overlap[row], overlap[:, column] = 0.0, 0.0
        new = np.flatnonzero(ids < 0)
        ids[new] = self._next + np.arange(len(new))
        self._next += len(new)
        kept = ~np.isin(self._ids, ids) & (self._ages < IOU_AGE_FRAMES)
        self._boxes = np.concatenate([boxes, self._boxes[kept]])
        self._classes = np.concatenate([classes, self._classes[kept]])
        self._ages = np.concatenate([np.zeros(len(ids), np.int64), self._ages[kept] + 1])
        self._ids = np.concatenate([ids, self._ids[kept]])
        return ids


Named = Callable[[Frame, Decoded, Motion | None], Decoded]


def by_iou() -> Named:
    """Ids by `IouTracker`."""
    tracker = IouTracker()

    def named(_frame: Frame, decoded: Decoded, _motion: Motion | None) -> Decoded:
        ids = tracker.update(decoded.instances.boxes, decoded.instances.classes)
        return Decoded(replace(decoded.instances, track_ids=ids), with_track_ids(decoded.panoptic, ids))

    return named


def by_motion() -> Named:
    """Ids by edgeseg's own tracker, which knows how the picture moved."""
    identities = Identities()
    return lambda frame, decoded, motion: identities.match(frame, replace(decoded, candidates=None), motion)


def by_track_head() -> Named:
    """Ids by the model's embeddings."""
    identities = Identities()
    return lambda _frame, decoded, _motion: identities.recognise(decoded)


@dataclass(frozen=True)
class Contender:
    """A model with a way to give ids."""

    bundle: Path
    fuses: bool
    """Whether a frame is fused with the one before; else, in a net that fuses, with itself."""
    ids: Callable[[], Named]


CONTENDERS: Mapping[str, Contender] = {
    "UPSNet, IoU tracker": Contender(UPSNET, False, by_iou),
    "UPSNet, edgeseg's tracker": Contender(UPSNET, False, by_motion),
    "VPSNet, IoU tracker": Contender(edgeseg.panoptic_demo_bundle(), True, by_iou),
    "VPSNet, edgeseg's tracker": Contender(edgeseg.panoptic_demo_bundle(), True, by_motion),
    "VPSNet, track head": Contender(edgeseg.panoptic_demo_bundle(), True, by_track_head),
    "VPSNet not fusing, track head": Contender(edgeseg.panoptic_demo_bundle(), False, by_track_head),
}


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.panoptic_accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=20, help="clips (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=30, help="frames of each (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="backend (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    clips = [SceneConfig(seed=FIRST_SEED + k, frame_count=args.frames) for k in range(args.clips)]
    record = measure(clips, args.backend)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(clips: Sequence[SceneConfig], backend: str) -> dict[str, Any]:
    """All contenders on all clips."""
    before, rows = conditions(), {}
    with progress("measuring", len(CONTENDERS) * sum(clip.frame_count for clip in clips)) as bar:
        for name, contender in CONTENDERS.items():
            rows[name] = score(contender, clips, backend, bar.advance)
    header = ("contender", *next(iter(rows.values())))
    texts = [(name, *(f"{value:.3f}" for value in row.values())) for name, row in rows.items()]
    print(table([header, *texts], right=range(1, len(header))))
    return {"what": clips_text(clips), "conditions": before, "contenders": rows}


def score(contender: Contender, clips: Sequence[SceneConfig], backend: str, on_frame: Callable[[], None]) -> dict[str, float]:
    """PQ, VPQ over k, of things and of stuff, HOTA and IDF1 of one contender."""
    with edgeseg.load(contender.bundle, backend=backend) as model:
        labels = model.bundle.labels
        tubes, identity = VpqMeter(labels, spacing=LABELLED_EVERY), IdentityMeter(labels)
        for config in clips:
            clip, named, motions = SyntheticClip(config, labels), contender.ids(), MotionEstimator()
            tubes.begin(clip.name)
            carry: Carry | None = None
            for frame, truth in clip:
                inference = model.key(frame, carry if contender.fuses else None)
                carry = inference.carry
                decoded = named(frame, inference.decoded, motions.update(frame))
                tubes.add(decoded.panoptic, truth.panoptic)
                identity.add(clip.name, model.result(frame, Step.KEY, decoded), coded(truth.things))
                on_frame()
    found, ids = tubes.compute(), identity.compute()
    per_k = {f"VPQ {k}": quality.overall.pq for k, quality in found.at.items()}
    return {
        "PQ": found.at[0].overall.pq,
        "PQ things": found.at[0].things.pq,
        "PQ stuff": found.at[0].stuff.pq,
        **per_k,
        "VPQ": found.mean,
        "VPQ things": found.things,
        "VPQ stuff": found.stuff,
        "HOTA": ids.hota,
        "IDF1": ids.idf1,
    }


if __name__ == "__main__":
    raise SystemExit(main())
