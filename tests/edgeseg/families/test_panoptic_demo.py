"""The small trained UPSNet and VPSNet on synthetic frames that their training never saw."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgeseg
from edgeseg.cli.scoring import MIN_VISIBLE
from edgeseg.cli.turns import parse_run
from edgeseg.data import panoptic_demo_bundle
from edgeseg.evaluation import PqMeter, VpqMeter, VpqScore
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig, classes_in
from edgeseg.truth import PanopticTruth
from edgeseg.types import Step

BUNDLES = {"upsnet": Path(__file__).parents[2] / "data" / "panoptic" / "upsnet_demo", "vpsnet": panoptic_demo_bundle()}
STILLS, CLIP_FRAMES = 12, 16
CLIP = SceneConfig(seed=HELD_OUT_FIRST_SEED + 201, frame_count=CLIP_FRAMES)


def _truth(model: Model, scene: Scene, index: int) -> PanopticTruth:
    return scene.truth(index).panoptic(MIN_VISIBLE).in_classes(classes_in(model.bundle.labels))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("net", BUNDLES)
def test_maps_of_unseen_scenes_are_right(net: str, backend: str) -> None:
    """One frame each of a dozen scenes; the bound lies well below what was measured on many more."""
    with edgeseg.load(BUNDLES[net], backend=backend, threads=1) as model:
        meter = PqMeter(model.bundle.labels)
        for number in range(STILLS):
            scene = Scene(SceneConfig(seed=HELD_OUT_FIRST_SEED + number))
            meter.add(model(scene.render(4 * number)).panoptic, _truth(model, scene, 4 * number))

    found = meter.compute()
    assert found.overall.pq > 0.75
    assert found.stuff.pq > 0.85
    assert found.things.pq > 0.65


def _scored(model: Model, name: str) -> tuple[VpqScore, list[Step]]:
    scene, meter, steps = Scene(CLIP), VpqMeter(model.bundle.labels), []
    meter.begin(scene.name)
    with Pipeline(model, parse_run(name).settings) as pipeline:
        for index in range(CLIP_FRAMES):
            result = pipeline.step(scene.frame(index))
            meter.add(result.panoptic, _truth(model, scene, index))
            steps.append(result.step)
    return meter.compute(), steps


def test_maps_and_ids_stay_with_their_things_along_a_clip() -> None:
    """Key frames that fuse the one before, and maps moved between fewer of them, keep most of a frame's quality over tubes of frames."""
    with edgeseg.load(panoptic_demo_bundle(), backend="openvino", threads=1) as model:
        every, _ = _scored(model, "every+track")
        moved, steps = _scored(model, "fixed:5+propagate+track")

    assert [steps.count(step) for step in (Step.KEY, Step.PROPAGATE)] == [4, 12]
    assert every.at[0].overall.pq > 0.75
    assert every.at[15].overall.pq > every.at[0].overall.pq - 0.15
    assert moved.mean > every.mean - 0.1
