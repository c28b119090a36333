"""How runs are named, take turns, are timed and are scored: with pipelines that know the truth, and a clock that they move."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.cli import turns
from edgeseg.cli.scoring import compare, confident
from edgeseg.cli.turns import WARM_UP_FRAMES, Run, parse_run
from edgeseg.errors import UsageError
from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.pipeline import StreamSettings
from edgeseg.sources.synthetic import LABELS, Scene, SceneConfig
from edgeseg.types import Instances, Result, Step

CLIPS = [SceneConfig(seed=seed, size_hw=(48, 64), frame_count=4) for seed in (3, 4)]
COST_S = {"every": 5.0, "fixed:2": 2.0}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("every", StreamSettings()),
        ("every+track+smooth", StreamSettings(track=True, smooth=True)),
        ("fixed:5+warp", StreamSettings("fixed:5", "warp")),
        ("fixed:5+propagate+track", StreamSettings("fixed:5", "propagate", track=True)),
        ("adaptive:0.2+overlap+propagate", StreamSettings("adaptive:0.2", "propagate", overlap=True)),
        ("deadline:33ms", StreamSettings("deadline:33ms")),
    ],
)
def test_run_is_named_by_its_settings(text, settings):
    """A schedule with its argument, then words in any order."""
    assert parse_run(text) == Run(text, settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sometimes", "no schedule 'sometimes'"),
        ("", "no schedule ''"),
        ("fixed+warp", "needs a whole number"),
        ("every+quick", r"'quick' is not known; after the schedule give \+warp, \+propagate, \+track"),
        ("every+", "'' is not known"),
        ("every+track+track", "a word is given twice"),
        ("fixed:5+warp+propagate", "not both"),
        ("every+smooth", "switch tracking on"),
    ],
)
def test_run_that_cannot_be_is_refused(text, message):
    """The message says which word is wrong and what there is."""
    with pytest.raises(UsageError, match=message):
        parse_run(text)


class Clock:
    """A clock that only steps and waiting move."""

    def __init__(self):
        self.now_s = 100.0
        self.waits_s = []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.waits_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def bench(monkeypatch):
    """What the runs did, in order, as (schedule, seed, frame); their pipelines give the truth, and their steps alone take time."""
    clock, log = Clock(), []

    class Oracle:
        def __init__(self, _model, settings):
            self.settings = settings

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            log.append((self.settings.schedule, "closed"))

        def step(self, frame):
            seed = int(frame.stream.partition("seed=")[2])
            log.append((self.settings.schedule, seed, frame.index, frame.captured_s))
            clock.now_s += COST_S.get(self.settings.schedule, 1.0)
            key = self.settings.schedule == "every" or frame.index % 2 == 0
            return exact(seed, frame.index, Step.KEY if key else Step.PROPAGATE, track=self.settings.track)

    monkeypatch.setattr(turns, "Pipeline", Oracle)
    monkeypatch.setattr(turns, "time", SimpleNamespace(perf_counter=clock, sleep=clock.sleep))
    return SimpleNamespace(log=log, clock=clock, model=SimpleNamespace(bundle=SimpleNamespace(labels=LABELS), clock=time.monotonic))


def exact(seed, index, step, *, track):
    """The truth of a frame as a result."""
    config = next(clip for clip in CLIPS if clip.seed == seed)
    there = Scene(config).truth(index).ground_truth()
    height, width = whole_hw = config.size_hw
    masks = tuple(SoftMask(mask.astype(np.float32), (0, 0, width, height), (0, 0, width, height)) for mask in there.masks)
    n = len(masks)
    found = Instances(
        boxes=np.tile(np.array([0, 0, width, height], np.float32), (n, 1)),
        scores=np.linspace(0.9, 0.5, n, dtype=np.float32),
        classes=there.classes,
        masks=SoftMasks(masks, whole_hw),
        track_ids=there.ids if track else np.full(n, -1, np.int64),
        image_hw=whole_hw,
    )
    return Result(index, step, LABELS, whole_hw, found, since_key=0 if step is Step.KEY else 1)


def test_every_frame_goes_to_each_run_in_turn(bench):
    """After the warm-up all runs get frame 0, then all get frame 1; orders differ, and nobody's frame is older than his turn."""
    ticks = []
    compare(bench.model, [parse_run("every"), parse_run("fixed:2")], CLIPS, lambda: ticks.append(1))

    steps = [entry for entry in bench.log if entry[1] != "closed"]
    counted = steps[2 * WARM_UP_FRAMES :]
    assert [(seed, index) for _, seed, index, _ in counted] == [(clip.seed, k) for clip in CLIPS for k in range(4) for _ in "ab"]
    pairs = [(a[0], b[0]) for a, b in zip(counted[::2], counted[1::2], strict=True)]
    assert set(pairs) == {("every", "fixed:2"), ("fixed:2", "every")}
    assert len({captured_s for *_, captured_s in counted}) == len(counted) == len(ticks)
    assert len(bench.log) - len(steps) == 2 + 2 * len(CLIPS)


def test_overlapped_runs_have_the_clip_for_themselves(bench):
    """They come after the others, one by one."""
    runs = [parse_run(text) for text in ("fixed:3+overlap", "every", "fixed:2", "fixed:4+overlap")]
    compare(bench.model, runs, CLIPS[:1])

    order = [entry[0] for entry in bench.log if entry[1] != "closed"][4 * WARM_UP_FRAMES :]
    assert sorted(order[:8]) == ["every"] * 4 + ["fixed:2"] * 4
    assert order[8:] == ["fixed:3"] * 4 + ["fixed:4"] * 4


def test_overlapped_runs_get_frames_at_the_rate_of_the_clip(bench, monkeypatch):
    """At 2 frames/s and a step of 0.2 s each frame waits for 0.3 s, which no frame's cost contains; the others never wait."""
    monkeypatch.setitem(COST_S, "fixed:3", 0.2)
    slow = replace(CLIPS[0], fps=2)

    every, overlapped = compare(bench.model, [parse_run("every"), parse_run("fixed:3+overlap")], [slow])

    assert bench.clock.waits_s == pytest.approx([0, 0.3, 0.3, 0.3])
    assert overlapped.costs_s == (pytest.approx((0.2,) * 4),)
    assert every.costs_s == (pytest.approx((5.0,) * 4),)


def test_only_steps_are_timed(bench):
    """Costs are what the steps take; warm-up frames, rendering and scoring are not among them."""
    every, fixed = compare(bench.model, [parse_run("every"), parse_run("fixed:2")], CLIPS)

    assert every.costs_s == ((5.0,) * 4,) * 2
    assert (every.mean_s, fixed.mean_s) == (5.0, 2.0)
    assert (dict(every.counts), dict(fixed.counts)) == ({Step.KEY: 8}, {Step.KEY: 4, Step.PROPAGATE: 4})


def test_exact_results_score_fully(bench):
    """The truth as a result has AP 1 at every distance, HOTA and IDF1 1, no flicker and no events."""
    tracked, fixed = compare(bench.model, [parse_run("every+track"), parse_run("fixed:2")], CLIPS)

    for score in (tracked, fixed):
        assert score.ap.overall.ap == pytest.approx(1)
        assert (score.stability.flicker, score.stability.events_per_100) == (0, 0)
        assert (score.stability.frames, score.ap.overall.images) == (6, 8)
    assert (tracked.identity.hota, tracked.identity.idf1, tracked.identity.switches) == (pytest.approx(1), pytest.approx(1), 0)
    assert fixed.identity is None
    assert {distance: ap.ap for distance, ap in fixed.ap.at.items()} == pytest.approx({0: 1, 1: 1})


def test_record_is_json(bench):
    """Every number is there, and those that do not exist are null."""
    record = compare(bench.model, [parse_run("fixed:2")], [SceneConfig(seed=3, size_hw=(48, 64), frame_count=1)])[0].to_json()

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["cost_ms"] == dict.fromkeys(("mean", "p5", "median", "p95", "p99", "max"), 2000.0)
    assert (record["clip_mean_ms"], record["step_median_ms"], record["steps"]) == ([2000.0], {"key": 2000.0}, {"key": 1})
    assert (record["identity"], record["stability"]) == (None, None)
    assert record["mask_ap_by_distance"] == {"0": {"ap": 1.0, "frames": 1, "instances": record["mask_ap"]["instances"]}}
    assert None in record["mask_ap"]["per_class"].values()


def test_weak_instances_are_not_shown(make_result):
    """What users see scores above 0.3; a result without instances stays as it is."""
    result = make_result(boxes=[(0, 0, 20, 20)] * 8)
    nothing = Result(0, Step.DROP, LABELS, (4, 4))

    assert confident(result).instances.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert confident(nothing) is nothing
