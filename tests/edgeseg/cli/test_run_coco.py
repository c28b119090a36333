"""``edgeseg run --coco`` against pycocotools."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgeseg.cli import main
from edgeseg.data import demo_bundle
from edgeseg.evaluation import MaskApMeter
from edgeseg.loader import load
from edgeseg.opencv import opencv
from edgeseg.sources.synthetic import Scene, SceneConfig, classes_in

FRAMES = range(0, 40, 10)
OPTIONS = ["--backend", "onnxruntime", "--threads", "1", "--score", "0.05"]
"""Weak detections count in average precision."""


@pytest.fixture
def scene() -> Scene:
    return Scene(SceneConfig(seed=3, size_hw=(240, 320)))


def truth_of(scene: Scene, category_of: dict[int, int]) -> COCO:
    """Annotations as a data set has them; images are numbered as the pictures are named."""
    images, annotations = [], []
    for index in FRAMES:
        there = scene.truth(index).ground_truth()
        images.append({"id": 1000 + index, "height": 240, "width": 320})
        for label, mask in zip(there.classes.tolist(), there.masks, strict=True):
            code = rle.encode(np.asfortranarray(mask, np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 1000 + index,
                    "category_id": category_of[label],
                    "segmentation": code,
                    "area": float(rle.area(code)),
                    "bbox": rle.toBbox(code).tolist(),
                    "iscrowd": 0,
                }
            )
    truth = COCO()
    truth.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": one} for one in category_of.values()]}
    truth.createIndex()
    return truth


def test_cocoeval_on_the_file_gives_our_average_precision(tmp_path, scene):
    """A folder of four numbered pictures through the demo bundle: mask AP, AP50 and AP75 of COCOeval and of `MaskApMeter` are the same."""
    folder, file = tmp_path / "val", tmp_path / "found.json"
    folder.mkdir()
    for index in FRAMES:
        opencv().imwrite(str(folder / f"{1000 + index:012d}.png"), scene.frame(index).pixels)

    assert main(["run", str(demo_bundle()), str(folder), "--coco", str(file), *OPTIONS]) == 0

    with load(demo_bundle(), backend="onnxruntime", threads=1, score_threshold=0.05) as model:
        labels, places = model.bundle.labels, classes_in(model.bundle.labels)
        meter = MaskApMeter(labels)
        for index in FRAMES:
            there = scene.truth(index).ground_truth()
            there = type(there)(np.array([places[number] for number in there.classes.tolist()]), there.masks, there.ignored, there.image_hw)
            meter.add(model(scene.frame(index).pixels), there)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = truth_of(scene, {number: labels[place].category_id for number, place in places.items()})
        evaluation = COCOeval(truth, truth.loadRes(str(file)), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ours = meter.compute()

    assert {record["image_id"] for record in json.loads(file.read_text())} == {1000 + index for index in FRAMES}
    assert evaluation.stats[:3] == pytest.approx([ours.ap, ours.ap50, ours.ap75], abs=1e-12)
    assert 0.1 < ours.ap < 0.99
