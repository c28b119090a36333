"""``edgeseg demo --panoptic``, with a tiny bundle in place of the shipped one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.cli import demo, main
from edgeseg.cli.demo_panoptic import PanopticJudge
from edgeseg.families import panoptic
from edgeseg.sources import open_source
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, LABELS, Scene, SceneConfig
from edgeseg.types import Panoptic, Result, Segment, Step
from tests.bundles import tiny_bundle

STUFF_FIRST = (*(label for label in LABELS if not label.is_thing), *(label for label in LABELS if label.is_thing))


def test_demo_shows_two_schedules_and_their_panoptic_quality(tmp_path, capsys, monkeypatch):
    """The video holds both side by side; the table has speed, PQ, VPQ and ids; a clip too short for VPQ has a dash there."""
    bundle = tiny_bundle(tmp_path / "shipped", family=panoptic.NAME)
    monkeypatch.setattr(demo, "panoptic_demo_bundle", lambda: bundle)

    assert main(["demo", "--panoptic", "--frames", "3", "--backend", "onnxruntime", "--out", str(tmp_path / "a.mp4")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "found in 3 frames: 3 x thing_0, 3 x thing_1" in lines
    rows = {line.split("  ")[0]: line.split() for line in lines}
    assert rows["schedule"][-6:] == ["PQ", "things", "PQ", "stuff", "VPQ", "ids"]
    assert rows["every frame a key frame"][-6] == "3"
    assert rows["fixed:5, propagated"][-6] == "1"
    assert rows["fixed:5, propagated"][-2:] == ["-", "2"]
    with open_source(tmp_path / "a.mp4") as source:
        assert (source.info.frame_count, source.info.image_hw) == (3, (390, 2 * 640))


def found(scene, index, track=lambda _index, number: number):
    """The truth of a frame as a model with stuff first would find it; ids by ``track``."""
    exact = scene.truth(index)
    ids, segments = exact.stuff + 1, []
    for k, number in enumerate(exact.ids.tolist()):
        ids[exact.visible(k)] = 100 + k
        class_id = STUFF_FIRST.index(LABELS[exact.classes[k]])
        segments.append(Segment(100 + k, class_id, True, 0.9, 0, track(index, number)))
    segments += [Segment(1 + k, STUFF_FIRST.index(label), False, 1.0, 0) for k, label in enumerate(LABELS) if (ids == 1 + k).any()]
    return Result(index, Step.KEY, STUFF_FIRST, exact.image_hw, panoptic=Panoptic(ids.astype(np.int32), tuple(segments)))


@pytest.fixture(scope="module")
def scene():
    """A small one."""
    return Scene(SceneConfig(seed=HELD_OUT_FIRST_SEED + 5, size_hw=(48, 64), frame_count=20))


def scores(scene, results):
    judge = PanopticJudge(scene, STUFF_FIRST)
    for result in results:
        judge.add(result)
    return [float(text) for text in judge.scores()]


def test_truth_is_perfect_under_any_order_of_labels(scene):
    """Scores of the truth itself are 1; what is hardly seen does not count."""
    assert scores(scene, [found(scene, index) for index in range(20)]) == [1, 1, 1, 1]


def test_ids_that_change_cost_video_quality_alone(scene):
    """New ids in every frame leave the quality of pictures and of stuff, and lower that of the video."""
    pq, things, stuff, vpq = scores(scene, [found(scene, index, lambda index, number: 1000 * index + number) for index in range(20)])

    assert (pq, things, stuff) == (1, 1, 1)
    assert vpq < 0.9


def test_a_missing_class_costs_quality_and_dropped_frames_do_not(scene):
    """A thing that is not found is missed; a frame that the schedule dropped shows nothing to judge."""
    results = [found(scene, index) for index in range(20)]
    maps = [result.panoptic for result in results]
    stuff = [Panoptic(np.where(one.ids < 100, one.ids, np.int32(0)), tuple(s for s in one.segments if not s.is_thing)) for one in maps]
    blind = [replace(result, panoptic=ground) for result, ground in zip(results, stuff, strict=True)]

    assert scores(scene, blind)[1] == 0
    assert scores(scene, [*results, replace(results[0], step=Step.DROP, panoptic=None)])[0] == 1
