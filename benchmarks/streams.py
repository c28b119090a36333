"""Eight cameras on one model: how old results are with staggered key frames, and with key frames of all cameras at once.

Both ways get the same pictures at the same times of the same clock, one way after the other in pairs whose order alternates. Cameras
are made-up scenes that were drawn before; each has a moment of its own within a frame time, or all have the same.

python -m benchmarks.streams --out benchmarks/results/streams.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import edgeseg
from edgeseg.benchmark.comparison import compare_paired
from edgeseg.fleet import Lane, Turn, Watcher, run_together
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule import schedule
from edgeseg.schedule.staggered import staggered
from edgeseg.sources.base import Source, SourceCounts, SourceInfo
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import F64Array, Frame, Result, Step

from .conditions import conditions

SIZE_HW = (180, 320)
DRAWN = 60
"""Pictures of each camera, shown forwards and backwards in turn."""
WAYS = ("staggered", "together")


@dataclass(frozen=True)
class Setting:
    """What the cameras are, and how they are processed."""

    cameras: int
    fps: float
    interval: int
    seconds: float
    spread: bool
    """Whether cameras take their pictures at different moments."""


class Camera(Source):
    """Gives the newest picture that is due, and leaves out those that nobody took in time."""

    def __init__(self, pictures: Sequence[Frame], fps: float, begin_s: float, end_s: float) -> None:
        self.info = SourceInfo("made-up camera", fps)
        self._pictures, self._begin_s, self._end_s = [*pictures, *pictures[-2:0:-1]], begin_s, end_s
        self._taken, self._dropped = -1, 0

    @property
    def counts(self) -> SourceCounts:
        return SourceCounts(dropped=self._dropped)

    @property
    def ready(self) -> bool:
        return self._due() > self._taken or time.monotonic() >= self._end_s

    def __iter__(self) -> Iterator[Frame]:
        while time.monotonic() < self._end_s:
            index = self._due()
            self._dropped += index - self._taken - 1
            self._taken = index
            captured_s = self._begin_s + index / self.info.fps
            yield replace(self._pictures[index % len(self._pictures)], index=index, captured_s=captured_s)

    def _due(self) -> int:
        return int(np.floor((time.monotonic() - self._begin_s) * self.info.fps))


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare staggered key frames of several cameras with key frames at once.")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=float, default=5)
    parser.add_argument("--interval", type=int, default=8, help="N of fixed:N")
    parser.add_argument("--seconds", type=float, default=8, help="of each way in each pair")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--out", type=Path, help="record to write, .json")
    args = parser.parse_args()
    settings = [Setting(args.cameras, args.fps, args.interval, args.seconds, spread) for spread in (False, True)]
    record = measure(settings, args.pairs)
    for found in record["results"]:
        print(json.dumps({name: value for name, value in found.items() if name != "pairs"}))
    if args.out:
        args.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return 0


def measure(settings: Sequence[Setting], pairs: int) -> dict[str, Any]:
    """All settings, each in pairs."""
    before = conditions()
    cameras = max(one.cameras for one in settings)
    scenes = [Scene(SceneConfig(seed=HELD_OUT_FIRST_SEED + k, frame_count=DRAWN, size_hw=SIZE_HW)) for k in range(cameras)]
    pictures = [[scene.frame(i) for i in range(DRAWN)] for scene in scenes]
    results = []
    with edgeseg.load(edgeseg.demo_bundle()) as model:
        note = f"{model.choice.name} on {model.runs_on}"
        run_way(model, pictures, replace(settings[0], seconds=min(3.0, settings[0].seconds)), "together", seed=0)
        for setting in settings:
            done = []
            for number in range(pairs):
                order = WAYS if number % 2 == 0 else WAYS[::-1]
                done.append({way: run_way(model, pictures, setting, way, seed=number) for way in order})
            results.append({"setting": setting.__dict__, **summary(done), "pairs": done})
    return {"what": "demo bundle, masks moved along the flow between key frames", "model": note, "conditions": before, "results": results}


def run_way(model: edgeseg.Model, pictures: Sequence[Sequence[Frame]], setting: Setting, way: str, *, seed: int) -> dict[str, Any]:
    """All cameras for some seconds; ages after the first interval, in which all begin."""
    text = f"fixed:{setting.interval}"
    begin_s = time.monotonic() + 0.1
    phases = np.random.default_rng(seed).random(setting.cameras) * setting.spread / setting.fps
    with ExitStack() as stack:
        lanes = []
        for k in range(setting.cameras):
            turn = Turn()
            policy = staggered(text, turn, k / setting.cameras) if way == WAYS[0] else schedule(text)
            pipeline = stack.enter_context(Pipeline(model, StreamSettings(policy, between="propagate")))
            camera = Camera(pictures[k], setting.fps, begin_s + phases[k], begin_s + setting.seconds)
            lanes.append(Lane(str(k), camera, pipeline, (), turn))
        ages_s: dict[str, list[float]] = {lane.name: [] for lane in lanes}

        def keep(lane: Lane, result: Result) -> None:
            if lane.turn.number >= setting.interval:
                ages_s[lane.name].append(result.age_s)

        time.sleep(max(0.0, begin_s + phases.max() - time.monotonic()))
        run_together(lanes, watcher=Watcher(keep))
    return {
        "frames": [lane.summary.frames for lane in lanes],
        "key_frames": [lane.summary.steps[Step.KEY] for lane in lanes],
        "dropped": [lane.source.counts.dropped for lane in lanes],
        "ages_ms": [[round(age_s * 1e3, 1) for age_s in ages_s[lane.name]] for lane in lanes],
    }


def summary(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Each stream's ages over all pairs, way by way; and pair by pair the ratio of the streams' ages, which tells how sure it is."""
    found: dict[str, Any] = {}
    for name, part in (("p50_ms", 50), ("p99_ms", 99)):
        found[name] = {way: [round(float(np.percentile(ages, part)), 1) for ages in _of_streams(done, way)] for way in WAYS}
        staggered_ms, together_ms = (np.array([_of_pair(pair[way], part) for pair in done]) for way in WAYS)
        compared = compare_paired(together_ms, staggered_ms)
        found[name] |= {"ratio": round(compared.ratio, 3), "within": [round(compared.low, 3), round(compared.high, 3)]}
        found[name] |= {"staggered_is": compared.verdict, "pairs_lower": int((staggered_ms < together_ms).sum()), "pairs": len(done)}
    for name in ("frames", "key_frames", "dropped"):
        found[name] = {way: sum(sum(pair[way][name]) for pair in done) for way in WAYS}
    return found


def _of_streams(done: Sequence[dict[str, Any]], way: str) -> list[F64Array]:
    """The ages of each stream in all pairs, float64 (N,) milliseconds."""
    return [np.concatenate(ages) for ages in zip(*(pair[way]["ages_ms"] for pair in done), strict=True)]


def _of_pair(run: dict[str, Any], part: float) -> float:
    """The streams of one run are no independent samples: the median of their percentiles stands for them."""
    return float(np.median([np.percentile(ages, part) for ages in run["ages_ms"]]))


if __name__ == "__main__":
    raise SystemExit(main())
