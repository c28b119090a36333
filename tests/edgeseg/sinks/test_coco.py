"""COCO's list of detections: its records, how images are numbered, and that it is whole or not there."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO

from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks import CocoSink
from edgeseg.sinks.coco import number_in
from edgeseg.types import Label, Step

BOXES = ((20, 40, 60, 80), (70, 10, 120, 50))


def image_ids(path) -> list[int]:
    return [record["image_id"] for record in json.loads(path.read_text())]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11
def test_pycocotools_reads_the_file(tmp_path, make_frame, make_result):
    """Image, class, box, score and mask of each instance come back from ``loadRes`` as they went in."""
    with CocoSink(tmp_path / "found.json") as sink:
        for index in range(2):
            sink.write(make_frame(index), make_result(BOXES, index=index))
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": index, "height": 96, "width": 128} for index in range(2)],
        "categories": [{"id": 17}, {"id": 18}],
        "annotations": [],
    }

    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes(str(tmp_path / "found.json"))

    records = found.dataset["annotations"]
    assert [(one["image_id"], one["category_id"], one["bbox"]) for one in records] == [
        (index, category, box) for index in range(2) for category, box in ((17, [20, 40, 40, 40]), (18, [70, 10, 50, 40]))
    ]
    assert [np.float32(one["score"]) for one in records[:2]] == [np.float32(0.9), np.float32(0.9 - 0.1)]
    expected = np.zeros((96, 128), np.uint8)
    expected[40:80, 20:60] = 1
    assert np.array_equal(found.annToMask(records[0]), expected)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["000000000139.jpg", "000000000285.jpg"], [139, 285]),
        (["COCO_val2014_000000000042.jpg", "COCO_val2014_000000000073.jpg"], [42, 73]),
        (["7.png", "a.png"], [0, 1]),
        (["a7.png", "a8.png"], [0, 1]),
        (["1.jpg", "01.png"], [0, 1]),
        ([], [0, 1]),
    ],
)
def test_images_are_numbered_by_name_where_all_names_are_numbers(tmp_path, make_frame, make_result, names, expected):
    """One name that is none, or two with the same number, and all are numbered by frame: no two images share a number."""
    with CocoSink(tmp_path / "found.json", names) as sink:
        for index, name in enumerate(names or ["7.png", "7.png"]):
            sink.write(make_frame(index, stream=name), make_result(index=index))

    assert image_ids(tmp_path / "found.json") == expected


@pytest.mark.parametrize("name", ["", "a.jpg", "12a.jpg", "-1.jpg", "1.5.jpg", "²3.jpg", "COCO_42.jpg", "1234567890123456789.jpg"])
def test_names_that_are_no_numbers(name):
    """Digits beside other things are none, nor is what JSON readers could not hold."""
    assert number_in(name) is None


def test_frames_without_instances_leave_no_record(tmp_path, make_frame, make_result):
    """An empty frame and one that was dropped; a run that found nothing is an empty list."""
    with CocoSink(tmp_path / "found.json") as sink:
        sink.write(make_frame(), make_result(()))
        sink.write(make_frame(1), replace(make_result(index=1), step=Step.DROP, instances=None))

    assert json.loads((tmp_path / "found.json").read_text()) == []


def test_older_file_stays_until_the_new_one_is_whole(tmp_path, make_frame, make_result):
    """It is replaced when the sink is closed; a run without a frame leaves it alone."""
    path = tmp_path / "found.json"
    path.write_text("older")
    CocoSink(path).close()
    with CocoSink(path) as sink:
        sink.write(make_frame(), make_result())
        assert path.read_text() == "older"
    sink.close()

    assert image_ids(path) == [0]
    assert [one.name for one in tmp_path.iterdir()] == ["found.json"]


def test_full_disk_is_an_error_and_leaves_what_was_whole(tmp_path, make_frame, make_result, file_size_limit):
    """The frame that found no place is missing as a whole; the file holds those before it."""
    path = tmp_path / "found.json"
    many = make_result([BOXES[0]] * 50, index=1)
    sink = CocoSink(path)
    sink.write(make_frame(), make_result(BOXES))
    with file_size_limit(2000), pytest.raises(SinkError, match="cannot be written"):
        sink.write(make_frame(1), many)
    sink.close()

    assert image_ids(path) == [0, 0]


def test_full_disk_at_the_end_leaves_no_half_file(tmp_path, make_frame, make_result, file_size_limit):
    """An older file stays."""
    path = tmp_path / "found.json"
    path.write_text("older")
    sink = CocoSink(path)
    sink.write(make_frame(), make_result(BOXES))
    with file_size_limit((tmp_path / ".found.json.partial").stat().st_size), pytest.raises(SinkError, match="cannot be written"):
        sink.close()
    sink.close()

    assert path.read_text() == "older"
    assert [one.name for one in tmp_path.iterdir()] == ["found.json"]


def test_classes_must_have_numbers_of_their_own(tmp_path, make_frame, make_result):
    """Two classes with one category_id cannot be told apart in the file; nothing is written."""
    result = replace(make_result(), labels=(Label("cat", 1), Label("dog", 1)))

    with CocoSink(tmp_path / "a.json") as sink, pytest.raises(UsageError, match=r"'cat' and 'dog' .* have the same category_id 1"):
        sink.write(make_frame(), result)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_replaced_are_refused(tmp_path):
    """A folder, a missing folder, and a device."""
    for place, says in ((tmp_path, "is a folder"), (tmp_path / "none" / "a.json", "mkdir -p"), ("/dev/null", "no plain file")):
        with pytest.raises(SinkError, match=says):
            CocoSink(type(tmp_path)(place))
