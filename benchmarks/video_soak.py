"""Does memory stay flat, does a thread stay behind, is an id ever given twice? Tracking, smoothing and overlapped key frames switched on.

python -m benchmarks.video_soak --frames 20000 --fake
python -m benchmarks.video_soak --frames 3000
python -m benchmarks.video_soak --frames 2000 --panoptic
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import edgeseg
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.cli.progress import progress
from edgeseg.data import panoptic_demo_bundle
from edgeseg.families import yolact
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, SceneConfig, SyntheticSource
from edgeseg.track import TrackerSettings
from edgeseg.track.embedding import MAX_AGE_UPDATES
from edgeseg.types import AnyArray

from .conditions import conditions

KEY_INTERVAL = 5
SETTINGS = edgeseg.StreamSettings(f"fixed:{KEY_INTERVAL}", "propagate", overlap=True, track=True, smooth=True)
WARM_UP_FRAMES = 500
OBJECTS = 6
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Run, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.video_soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=3000, help="frames of the synthetic clip (default: %(default)s)")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--fake", action="store_true", help="made-up detections instead of the demo model, on small pictures")
    model.add_argument("--panoptic", action="store_true", help="the panoptic demo model, without smoothing and overlap")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    record = soak(args.frames, fake=args.fake, panoptic=args.panoptic)
    print(json.dumps(record, indent=1))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def soak(frames: int, *, fake: bool = False, panoptic: bool = False) -> dict[str, object]:
    """Run a stream to its end and look at what grew."""
    before = conditions()
    memory_mb: list[float] = []
    settings = replace(SETTINGS, overlap=False, smooth=False) if panoptic else SETTINGS
    remembered = KEY_INTERVAL * MAX_AGE_UPDATES if panoptic else TrackerSettings().max_age_frames
    ids = Ids(max_gap=remembered + SceneConfig().frame_count)
    size_hw = (72, 128) if fake else (360, 640)
    source = SyntheticSource(SceneConfig(seed=HELD_OUT_FIRST_SEED + 3, size_hw=size_hw, frame_count=frames, min_objects=8))
    every = max(1, frames // 100)
    with _fake_model() if fake else edgeseg.load(panoptic_demo_bundle() if panoptic else edgeseg.demo_bundle()) as model:
        threads = [threading.active_count()]
        with edgeseg.Pipeline(model, settings) as pipeline, progress("soaking", total=frames) as bar:
            for frame in source:
                result = pipeline.step(frame)
                ids.see(frame.index, result.instances.track_ids if result.instances else np.zeros(0, np.int64))
                if frame.index % every == every - 1:
                    memory_mb.append(round(_resident_mb(), 1))
                    bar.advance(every)
            threads.append(threading.active_count())
        threads.append(threading.active_count())
    warm = memory_mb[min(len(memory_mb) - 1, WARM_UP_FRAMES // every)]
    return {
        "what": f"{frames} synthetic frames of {size_hw[1]} x {size_hw[0]}, {'made-up detections' if fake else model.bundle.recipe}",
        "settings": asdict(settings),
        "conditions": before,
        "memory_mb_after_warm_up": warm,
        "memory_mb_at_the_end": memory_mb[-1],
        "growth_mb": round(memory_mb[-1] - warm, 1),
        "memory_mb": memory_mb,
        "threads_before_during_after": threads,
        "ids_given": len(ids.last_seen),
        "ids_used_again_after_expiry": ids.reused,
        "ids_shared_in_a_frame": ids.shared,
    }


class Ids:
    """Watches that an id stays with one track: it is in a frame once, and once it has expired it does not come back."""

    def __init__(self, max_gap: int) -> None:
        self.max_gap = max_gap
        self.last_seen: dict[int, int] = {}
        self.reused = self.shared = 0

    def see(self, index: int, track_ids: AnyArray) -> None:
        """The ids of one frame."""
        present = [int(i) for i in track_ids if i >= 0]
        self.shared += len(present) - len(set(present))
        for track_id in present:
            self.reused += index - self.last_seen.get(track_id, index) > self.max_gap
            self.last_seen[track_id] = index


def _fake_model() -> edgeseg.Model:
    """The demo bundle with detections that wander, vanish and come anew."""
    bundle = read_bundle(edgeseg.demo_bundle())
    wanderers = Wanderers(bundle)
    return edgeseg.Model(
        bundle,
        lambda name: Fake(wanderers.answer).open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", None),
        Choice("fake", "asked for"),
    )


class Wanderers:
    """Made-up graph outputs: boxes that drift, are missed one time in five, and jump away one time in two hundred."""

    def __init__(self, bundle: Bundle) -> None:
        self._specs = bundle.graphs["key"].outputs
        self._random = np.random.default_rng(0)
        self._centres = self._random.uniform(0.2, 0.8, (OBJECTS, 2))
        self._classes = self._random.integers(0, len(bundle.labels), OBJECTS)

    def answer(self, _: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Outputs of one run."""
        random, outputs = self._random, {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self._specs}
        self._centres = np.clip(self._centres + random.normal(0, 0.005, (OBJECTS, 2)), 0.1, 0.9)
        jumps = random.random(OBJECTS) < 1 / 200
        self._centres[jumps] = random.uniform(0.2, 0.8, (jumps.sum(), 2))
        seen = random.random(OBJECTS) > 1 / 5
        outputs[yolact.SCORES][:] = -1
        outputs[yolact.SCORES][:OBJECTS] = np.where(seen, np.linspace(0.9, 0.5, OBJECTS), -1)
        outputs[yolact.BOXES][:OBJECTS] = np.hstack([self._centres - 0.08, self._centres + 0.08])
        outputs[yolact.CLASSES][:OBJECTS] = self._classes
        outputs[yolact.COEFFICIENTS][:OBJECTS, 0] = 8
        outputs[yolact.PROTOTYPES][..., 0] = 1
        return outputs


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB


if __name__ == "__main__":
    raise SystemExit(main())
