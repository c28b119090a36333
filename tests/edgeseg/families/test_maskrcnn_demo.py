"""A small trained Mask R-CNN on synthetic frames that its training never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgeseg
from edgeseg.cli.scoring import AP_SCORE, MIN_VISIBLE
from edgeseg.cli.turns import parse_run
from edgeseg.evaluation import Identity, IdentityMeter, MaskAp, MaskApMeter, coded
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import Step

BUNDLE = Path(__file__).parents[2] / "data" / "maskrcnn" / "demo"
STILLS, CLIP_FRAMES = 30, 31
CLIP = SceneConfig(seed=HELD_OUT_FIRST_SEED + 201, frame_count=CLIP_FRAMES)
SHOWN = 0.7
"""A detection above this score counts when ids are judged; two-stage nets are surer of themselves than YOLACT."""


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    """The bundle, on each backend."""
    with edgeseg.load(BUNDLE, backend=request.param, threads=1, score_threshold=AP_SCORE) as opened:
        yield opened


def test_masks_of_unseen_scenes_are_found(model: Model) -> None:
    """One frame each of 30 scenes; the bounds lie well below what was measured on many more."""
    meter = MaskApMeter(model.bundle.labels)
    for number in range(STILLS):
        scene = Scene(SceneConfig(seed=HELD_OUT_FIRST_SEED + number))
        meter.add(model(scene.render(4 * number)), scene.truth(4 * number).ground_truth(MIN_VISIBLE))
    found = meter.compute()

    assert found.ap > 0.65
    assert found.ap50 > 0.85
    assert min(found.per_class.values()) > 0.55


def _scored(model: Model, name: str) -> tuple[MaskAp, Identity, list[Step]]:
    """Run a schedule with ids over the clip; a key frame beside the others is ready at the next frame."""
    scene, ap, ids, steps = Scene(CLIP), MaskApMeter(model.bundle.labels), IdentityMeter(model.bundle.labels), []
    with Pipeline(model, dataclasses.replace(parse_run(name).settings, track=True)) as pipeline:
        for index in range(CLIP.frame_count):
            result, truth = pipeline.step(scene.frame(index)), coded(scene.truth(index).ground_truth(MIN_VISIBLE))
            pipeline.settle()
            ap.add(result, truth)
            ids.add(scene.name, dataclasses.replace(result, instances=result.instances.select(result.instances.scores > SHOWN)), truth)
            steps.append(result.step)
    return ap.compute(), ids.compute(), steps


@pytest.mark.parametrize("model", ["onnxruntime"], indirect=True)
def test_video_modes_keep_masks_and_ids(model: Model) -> None:
    """Propagated masks lose a few points against a network that sees every frame; so do overlapped ones; ids stay with their objects."""
    every, every_ids, _ = _scored(model, "every")
    propagated, propagated_ids, steps = _scored(model, "fixed:5+propagate")
    overlapped, overlapped_ids, overlapped_steps = _scored(model, "fixed:5+propagate+overlap")

    assert [steps.count(step) for step in (Step.KEY, Step.PROPAGATE)] == [7, 24]
    assert [overlapped_steps.count(step) for step in (Step.KEY, Step.PROPAGATE)] == [1, 30]
    assert every.ap > 0.6
    assert min(propagated.ap, overlapped.ap) > every.ap - 0.1
    assert every_ids.hota > 0.6
    assert min(propagated_ids.hota, overlapped_ids.hota) > every_ids.hota - 0.1
    assert max(ids.switches for ids in (every_ids, propagated_ids, overlapped_ids)) <= 2
