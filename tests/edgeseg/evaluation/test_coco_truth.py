"""Ground truth out of a data set in COCO's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import CocoTruth
from edgeseg.types import Label

LABELS = (Label("cup", 47), Label("bowl", 51))


def _write(folder: Path, **changes: Any) -> Path:
    crowd = np.zeros((6, 8), np.uint8, order="F")
    crowd[4:, 5:] = 1
    content = {
        "images": [{"id": 9, "file_name": "a.png", "height": 6, "width": 8}, {"id": 3, "file_name": "b.png", "height": 2, "width": 2}],
        "categories": [{"id": 47, "name": "cup"}, {"id": 51, "name": "bowl"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 51, "segmentation": [[1, 1, 5, 1, 5, 3, 1, 3]], "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 47, "segmentation": _counts(crowd), "iscrowd": 1},
            {"id": 3, "image_id": 9, "category_id": 1, "segmentation": [[0, 0, 8, 0, 8, 6, 0, 6]], "iscrowd": 0},
        ],
        **changes,
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file


def _counts(mask: np.ndarray) -> dict[str, Any]:
    code = coco_mask.encode(mask)
    return {"size": code["size"], "counts": code["counts"].decode()}


def test_polygons_and_crowds_become_masks(tmp_path: Path) -> None:
    """Classes are places among the model's labels; crowds are ignored, and what the model does not know is left out."""
    truth = CocoTruth(_write(tmp_path), LABELS).of("a.png", (6, 8))

    polygon, crowd = np.zeros((2, 6, 8), bool)
    polygon[1:3, 1:5] = True
    crowd[4:, 5:] = True
    assert (truth.classes.tolist(), truth.ignored.tolist(), truth.image_hw) == ([1, 0], [False, True], (6, 8))
    np.testing.assert_array_equal(truth.masks, [polygon, crowd])


def test_pictures_without_objects_and_unknown_pictures_differ(tmp_path: Path) -> None:
    """Nothing is in the one; of the other nobody knows."""
    truth = CocoTruth(_write(tmp_path), LABELS)

    assert len(truth.of("b.png", (2, 2)).masks) == 0
    assert truth.of("c.png", (2, 2)) is None


def test_a_picture_of_another_size_is_not_that_picture(tmp_path: Path) -> None:
    """Masks would lie elsewhere."""
    with pytest.raises(EvaluationError, match=r"a.png has \(8, 6\) pixels, the annotations say \(6, 8\)"):
        CocoTruth(_write(tmp_path), LABELS).of("a.png", (8, 6))


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ({}, "annotation 7 of a.png has no mask that can be read (KeyError"),
        ({"segmentation": []}, "Masks are what is scored; boxes alone are not enough"),
        ({"segmentation": [[1, 2]]}, "has no mask that can be read"),
        ({"segmentation": "x"}, "has no mask that can be read"),
        ({"segmentation": {"counts": "!!", "size": [6, 8]}}, "has no mask that can be read"),
        ({"segmentation": {"counts": [1], "size": [90000, 90000]}}, "has a mask of [90000, 90000] pixels, the picture has (6, 8)"),
    ],
)
def test_annotations_without_a_mask_are_refused(tmp_path: Path, outline: dict[str, Any], message: str) -> None:
    """Such as those of data sets for boxes alone; before anything of a strange size is made."""
    truth = CocoTruth(_write(tmp_path, annotations=[{"id": 7, "image_id": 9, "category_id": 47, **outline}]), LABELS)

    with pytest.raises(EvaluationError) as caught:
        truth.of("a.png", (6, 8))

    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images": 3, "annotations": [], "categories": []}', '{"images": [{}], "annotations": [], "categories": []}']
)
def test_what_is_no_annotation_file_is_refused(tmp_path: Path, text: str) -> None:
    """With its name."""
    (tmp_path / "x.json").write_text(text)

    with pytest.raises(EvaluationError, match=r"x.json cannot be read as COCO annotations"):
        CocoTruth(tmp_path / "x.json", LABELS)
    with pytest.raises(EvaluationError, match=r"none.json cannot be read"):
        CocoTruth(tmp_path / "none.json", LABELS)


def test_annotations_of_another_data_set_are_refused(tmp_path: Path) -> None:
    """No category of the model's is in them."""
    with pytest.raises(EvaluationError, match="none of the model's categories"):
        CocoTruth(_write(tmp_path, categories=[{"id": 200, "name": "x"}]), LABELS)
