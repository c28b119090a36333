"""What a frame of video costs under several schedules: contenders take turns on the same stretch of a clip.

python -m benchmarks.video_frame --bundle BUNDLE --clip video.mp4
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

import edgeseg
from edgeseg.cli.progress import progress
from edgeseg.types import Frame, Step

from .conditions import conditions, peak_memory_mb

WARPING = "fixed:5 warp"
CONTENDERS = {
    "every": edgeseg.StreamSettings("every"),
    WARPING: edgeseg.StreamSettings("fixed:5", "warp"),
    "fixed:5 propagate": edgeseg.StreamSettings("fixed:5", "propagate"),
    "overlap": edgeseg.StreamSettings("every", "propagate", overlap=True),
    "overlap, tracked": edgeseg.StreamSettings("every", "propagate", overlap=True, track=True, smooth=True),
}
REFERENCE = "every"
STRETCH = 25
"""Frames that each contender gets in turn."""
CAMERA_FPS = 30.0
"""Overlapped contenders get their frames at this rate, as from a camera: at full speed nearly all frames would be propagated."""


@dataclass
class Record:
    """All that was measured of one contender after the warm-up, seconds."""

    latency_s: list[float] = field(default_factory=list)
    """Of each frame, from its arrival to its result."""
    cpu_s: list[float] = field(default_factory=list)
    """Of each stretch: processor time of all threads, per frame."""
    wall_s: list[float] = field(default_factory=list)
    """Of each stretch: mean latency of its frames."""
    steps: Counter[Step] = field(default_factory=Counter)
    instances: int = 0
    warm_up_s: list[float] = field(default_factory=list)

    def to_json(self, reference: Record) -> dict[str, object]:
        """Milliseconds; cost as a ratio to the reference's, stretch by stretch."""
        latency = np.array(self.latency_s)
        p50, p99 = np.percentile(latency, [50, 99])
        return {
            "mean_ms": _ms(latency.mean()),
            "p50_ms": _ms(p50),
            "p99_ms": _ms(p99),
            "max_ms": _ms(latency.max()),
            "p99_over_p50": round(float(p99 / p50), 2),
            "cpu_ms_per_frame": _ms(float(np.median(self.cpu_s))),
            "mean_over_every": round(float(np.median(np.array(self.wall_s) / np.array(reference.wall_s))), 3),
            "steps": {step.value: count for step, count in self.steps.items()},
            "instances": self.instances,
            "latency_ms": [_ms(value) for value in self.latency_s],
            "warm_up_ms": [_ms(value) for value in self.warm_up_s],
        }


def main() -> int:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.video_frame", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True, help="bundle; of a video model, warped frames are measured too")
    parser.add_argument("--clip", required=True, help="what edgeseg run takes as SOURCE")
    parser.add_argument("--frames", type=int, default=250, help="frames of the clip (default: %(default)s)")
    parser.add_argument("--score", type=float, default=0.3, help="leave out instances that score no more (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="backend (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    before = conditions()
    with edgeseg.load(args.bundle, backend=args.backend, score_threshold=args.score) as model:
        with edgeseg.open_source(args.clip) as source:
            records = measure(model, islice(source, args.frames))
        runs_on = f"{model.choice.name}: {model.runs_on}"
    record = {
        "what": f"{model.bundle.recipe}, {args.frames} frames of {Path(args.clip).name}, {STRETCH} a turn; the first turn is warm-up",
        "conditions": before,
        "runs_on": runs_on,
        "score_threshold": args.score,
        "camera_fps_of_overlapped": CAMERA_FPS,
        "settings": {name: asdict(CONTENDERS[name]) for name in records},
        "contenders": {name: found.to_json(records[REFERENCE]) for name, found in records.items()},
        "peak_memory_mb": round(peak_memory_mb()),
    }
    for name, found in record["contenders"].items():
        print(name, {key: value for key, value in found.items() if not isinstance(value, list)})
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(model: edgeseg.Model, frames: Iterator[Frame]) -> dict[str, Record]:
    """Give every stretch of the clip to each contender in turn; each keeps its own state from stretch to stretch."""
    settings = {name: chosen for name, chosen in CONTENDERS.items() if name != WARPING or model.can_warp}
    records = {name: Record() for name in settings}
    with ExitStack() as stack:
        pipelines = {name: stack.enter_context(edgeseg.Pipeline(model, chosen)) for name, chosen in settings.items()}
        bar = stack.enter_context(progress("measuring", total=None))
        warm = False
        while stretch := list(islice(frames, STRETCH)):
            for name, pipeline in pipelines.items():
                _run(pipeline, stretch, records[name], 1 / CAMERA_FPS if settings[name].overlap else 0.0, warm)
                bar.advance(len(stretch), detail=name)
            warm = True
    return records


def _run(pipeline: edgeseg.Pipeline, stretch: list[Frame], record: Record, interval_s: float, warm: bool) -> None:
    latency_s, due_s, cpu_s = [], time.perf_counter(), time.process_time()
    for frame in stretch:
        time.sleep(max(0.0, due_s - time.perf_counter()))
        due_s = max(due_s, time.perf_counter() - interval_s) + interval_s
        start_s = time.perf_counter()
        result = pipeline.step(frame)
        latency_s.append(time.perf_counter() - start_s)
        if warm:
            record.steps[result.step] += 1
            record.instances += len(result.instances) if result.instances else 0
    # A key frame still in flight is this contender's cost, and must not slow the next.
    pipeline.settle()
    if not warm:
        record.warm_up_s.extend(latency_s)
        return
    record.latency_s.extend(latency_s)
    record.wall_s.append(float(np.mean(latency_s)))
    record.cpu_s.append((time.process_time() - cpu_s) / len(stretch))


def _ms(seconds: float) -> float:
    return round(float(seconds) * 1e3, 3)


if __name__ == "__main__":
    raise SystemExit(main())
