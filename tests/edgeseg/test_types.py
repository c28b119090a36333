"""The values that travel: what they refuse, how they show themselves, what they convert to."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.types import Frame, GroundTruth, Instances, Label, Panoptic, Result, Segment, Step

LABELS = (Label("cup", 47), Label("bowl", 51))
HW = (6, 8)


def _instances(**changes: Any) -> Instances:
    """Two instances in a picture of 6 x 8: a mask of rows 1 and 2 and columns 2 to 4, and one that is empty."""
    block = SoftMask(np.ones((1, 1), np.float32), (2.0, 1.0, 5.0, 3.0), (2, 1, 5, 3))
    nothing = replace(block, window=(0, 0, 0, 0))
    columns: dict[str, Any] = {
        "boxes": np.array([[2, 1, 5, 3], [7, 5, 6, 5]], np.float32),
        "scores": np.array([0.75, 0.5], np.float32),
        "classes": np.array([1, 0]),
        "masks": SoftMasks((block, nothing), HW),
        "track_ids": np.array([-1, 7]),
        "image_hw": HW,
    }
    return Instances(**{**columns, **changes})


def _result(**changes: Any) -> Result:
    return Result(**{"frame_index": 3, "step": Step.KEY, "labels": LABELS, "image_hw": HW, "instances": _instances(), **changes})


def _nothing() -> Instances:
    columns = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), SoftMasks((), HW), np.zeros(0, np.int64))
    return Instances(*columns, HW)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((4, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((1, 4, 5, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.dtype}{pixels.shape}",
)
def test_a_frame_refuses_what_is_no_bgr_picture(pixels: np.ndarray) -> None:
    """The message says what is wanted and what came."""
    with pytest.raises(ValueError, match=r"uint8 \(height, width, 3\) in BGR order, got") as caught:
        Frame(pixels)

    assert f"{pixels.dtype} {pixels.shape}" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((3, 4), np.float32)}, r"2 scores need boxes of shape \(2, 4\), got \(3, 4\)"),
        ({"boxes": np.zeros((2, 5), np.float32)}, r"got \(2, 5\)"),
        ({"classes": np.zeros(1, np.int64)}, r"classes must have shape \(2,\), got \(1,\)"),
        ({"track_ids": np.zeros((2, 1), np.int64)}, r"track_ids must have shape \(2,\), got \(2, 1\)"),
        ({"mask_scores": np.zeros(3, np.float32)}, r"mask_scores must have shape \(2,\), got \(3,\)"),
        ({"masks": SoftMasks((), HW)}, "2 scores need 2 masks, got 0"),
        ({"image_hw": (8, 6)}, r"masks are for \(6, 8\), the image is \(8, 6\)"),
    ],
)
def test_instances_refuse_columns_of_different_lengths(changes: dict[str, Any], message: str) -> None:
    """Every column has one row for each score."""
    with pytest.raises(ValueError, match=message):
        _instances(**changes)


@pytest.mark.parametrize("ids", [np.zeros((4, 5), np.int64), np.zeros((4, 5, 1), np.int32)])
def test_a_panoptic_map_is_int32_of_two_axes(ids: np.ndarray) -> None:
    """Other dtypes and shapes are refused."""
    with pytest.raises(ValueError, match=r"ids must be int32 \(H, W\)"):
        Panoptic(ids, ())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((np.zeros(2, np.int64), (np.zeros(HW, bool),), np.zeros(1, bool)), "1 masks need 1 classes and flags"),
        ((np.zeros(1, np.int64), (np.zeros((8, 6), bool),), np.zeros(1, bool)), "masks must have the image's size"),
    ],
)
def test_ground_truth_refuses_columns_that_do_not_fit(columns: tuple[Any, ...], message: str) -> None:
    """As many classes and flags as masks, and masks of the picture's size."""
    with pytest.raises(ValueError, match=message):
        GroundTruth(*columns, HW)


def test_ground_truth_refuses_ids_that_do_not_fit() -> None:
    """As many ids as masks, where there are ids at all."""
    with pytest.raises(ValueError, match=r"1 masks need 1 ids, got \(2,\)"):
        GroundTruth(np.zeros(1, np.int64), (np.zeros(HW, bool),), np.zeros(1, bool), HW, ids=np.zeros(2, np.int64))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Frame(np.full((4, 5, 3), 219, np.uint8), index=7, stream="left"), "Frame(index=7, size=(4, 5), stream='left')"),
        (_instances(), "Instances(n=2, image_hw=(6, 8))"),
        (Panoptic(np.zeros((4, 5), np.int32), ()), "Panoptic(size=(4, 5), segments=0)"),
        (GroundTruth(np.zeros(0, np.int64), (), np.zeros(0, bool), HW), "GroundTruth(n=0, image_hw=(6, 8))"),
        (_result(), "Result(frame=3, step=key, instances=Instances(n=2, image_hw=(6, 8)), panoptic=None)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_show_their_sizes_and_not_their_numbers(value: object, shown: str) -> None:
    """A repr fits in one line of a log."""
    assert repr(value) == shown


def test_values_are_frozen() -> None:
    """No field can be set after making."""
    with pytest.raises(FrozenInstanceError):
        _instances().scores = np.zeros(2)  # type: ignore[misc]


@pytest.mark.parametrize("index", [np.array([1]), np.array([False, True])], ids=["integer", "boolean"])
def test_select_filters_every_column_alike(index: np.ndarray) -> None:
    """Boxes, scores, classes, masks, ids and mask scores stay together."""
    one = _instances(mask_scores=np.array([0.5, 0.25], np.float32)).select(index)

    assert (len(one), one.scores[0], one.classes[0], one.track_ids[0], one.mask_scores[0]) == (1, 0.5, 0, 7, 0.25)
    assert one.boxes.tolist() == [[7, 5, 6, 5]]
    assert not one.masks.paste(0).any()


def test_select_can_reorder_and_empty() -> None:
    """An order gives that order; no rows give no instances, still with four box columns."""
    assert _instances().select(np.array([1, 0])).scores.tolist() == [0.5, 0.75]
    assert _instances().select(np.zeros(0, np.int64)).boxes.shape == (0, 4)


def test_to_json_has_the_fields_of_a_line() -> None:
    """Plain Python values under the documented names; milliseconds; ids only where there are some."""
    record = _result(time_s=1.25, age_s=0.5, since_key=2).to_json()
    first, second = record.pop("instances")
    mask = first.pop("mask")

    assert record == {"frame": 3, "time_s": 1.25, "step": "key", "since_key": 2, "age_ms": 500.0, "image_size": [6, 8]}
    assert first == {"class_id": 1, "category_id": 51, "label": "bowl", "score": 0.75, "box": [2.0, 1.0, 5.0, 3.0], "track_id": None}
    assert (second["label"], second["track_id"]) == ("cup", 7)
    wanted = np.zeros(HW, np.uint8)
    wanted[1:3, 2:5] = 1
    assert mask == {"size": [6, 8], "counts": coco_mask.encode(np.asfortranarray(wanted))["counts"].decode()}


def test_to_json_tells_of_reconnects_where_there_were_some() -> None:
    """How often the stream was connected anew, absent from lines before the first time."""
    assert _result(reconnects=2).to_json()["reconnects"] == 2
    assert "reconnects" not in _result().to_json()


def test_to_json_tells_mask_scores_and_segments_where_there_are_some() -> None:
    """YOLACT++ gives a second score; panoptic models give segments."""
    panoptic = Panoptic(np.ones(HW, np.int32), (Segment(1, 0, True, 0.5, 48),))
    record = _result(instances=_instances(mask_scores=np.array([0.5, 0.25], np.float32)), panoptic=panoptic).to_json()

    assert [entry["mask_score"] for entry in record["instances"]] == [0.5, 0.25]
    assert record["panoptic"]["segments"][0] == {
        "id": 1,
        "class_id": 0,
        "category_id": 47,
        "label": "cup",
        "is_thing": True,
        "score": 0.5,
        "area": 48,
        "track_id": None,
    }


def test_to_coco_gives_records_that_pycocotools_reads() -> None:
    """Boxes as x, y, width, height; category ids of the data set; boxes without area left out."""
    records = _result().to_coco(image_id=42)

    assert [{k: v for k, v in record.items() if k != "segmentation"} for record in records] == [
        {"image_id": 42, "category_id": 51, "bbox": [2.0, 1.0, 3.0, 2.0], "score": 0.75}
    ]
    code = records[0]["segmentation"]
    assert coco_mask.area({"size": code["size"], "counts": code["counts"].encode()}) == 6


def test_to_coco_scores_by_the_mask_score_where_there_is_one() -> None:
    """As the original's own evaluation of masks does."""
    assert _result(instances=_instances(mask_scores=np.array([0.375, 0.25], np.float32))).to_coco(1)[0]["score"] == 0.375


def test_to_supervision_gives_the_arguments_of_detections() -> None:
    """Masks at image size, names as data; ids only when every row has one."""
    arguments = _result().to_supervision()

    assert arguments["mask"].shape == (2, *HW)
    assert arguments["mask"].sum(axis=(1, 2)).tolist() == [6, 0]
    assert arguments["class_id"].tolist() == [1, 0]
    assert arguments["confidence"].tolist() == [0.75, 0.5]
    assert arguments["data"]["class_name"].tolist() == ["bowl", "cup"]
    assert arguments["tracker_id"] is None
    assert _result(instances=_instances(track_ids=np.array([4, 7]))).to_supervision()["tracker_id"].tolist() == [4, 7]


@pytest.mark.parametrize("instances", [None, _nothing()], ids=["no_instances", "empty"])
def test_converters_take_a_picture_without_anything(instances: Instances | None) -> None:
    """Empty lists and empty arrays of the right shape, no error."""
    result = _result(instances=instances)

    assert result.to_json()["instances"] == []
    assert result.to_coco(1) == []
    arguments = result.to_supervision()
    assert arguments["xyxy"].shape == (0, 4)
    assert arguments.get("mask", np.zeros((0, *HW))).shape == (0, *HW)
