"""Panoptic data sets: layouts are found, maps are read, and what comes damaged from elsewhere is refused with a clear text."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import panoptic_json
from edgeseg.evaluation.panoptic_files import open_panoptic
from edgeseg.truth import TruthSegment
from edgeseg.types import Label

LABELS = (Label("road", 10, is_thing=False), Label("car", 20))
BIG = 5 + 256 * 6 + 65536 * 7
"""An id that needs all three bytes."""


def image(number, name=None, **extra):
    return {"id": number, "file_name": name or f"{number}.jpg", "height": 2, "width": 3, **extra}


def annotation(number, *segments, name=None):
    """Segments are (id, category_id, iscrowd)."""
    infos = [{"id": one, "category_id": category, "iscrowd": crowd, "area": 1} for one, category, crowd in segments]
    return {"image_id": number, "file_name": name or f"{number}.png", "segments_info": infos}


def picture(path, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((2, 3, 3), np.uint8) if pixels is None else pixels)


def map_of(ids):
    """BGR of nested lists of ids."""
    ids = np.array(ids, np.int32)
    return np.stack([ids >> 16, ids >> 8, ids], axis=2).astype(np.uint8)


def write(file, images=(), annotations=(), **extra):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": list(images), "annotations": list(annotations), **extra}))
    return file


@pytest.fixture
def coco(tmp_path):
    """COCO's own layout: annotations/ holds the JSON and, in a folder of the same name, the maps."""
    file = tmp_path / "annotations" / "panoptic_val2017.json"
    maps = [annotation(20_285, (1, 10, 0), (BIG, 20, 1)), annotation(139, (9, 99, 0), (1, 10, 0))]
    write(file, [image(139), image(20_285), image(7)], maps)
    for number in (139, 20_285, 7):
        picture(tmp_path / "val2017" / f"{number}.jpg")
    picture(tmp_path / "annotations" / "panoptic_val2017" / "20285.png", map_of([[1, 1, BIG], [0, 1, BIG]]))
    picture(tmp_path / "annotations" / "panoptic_val2017" / "139.png", map_of([[1, 9, 9], [1, 1, 9]]))
    return tmp_path


def test_layout_of_coco(coco):
    """Found by its folder or its file: labelled pictures, each a clip of its own, in the file's order; all three bytes make an id."""
    for source in (coco, coco / "annotations" / "panoptic_val2017.json"):
        found = open_panoptic(source, LABELS)

        assert found.layout == "coco"
        assert [clip.name for clip in found.clips] == ["139.jpg", "20285.jpg"]
        (shown,) = found.clips[1].pictures
        assert shown.path == coco / "val2017" / "20285.jpg"
        truth = shown.truth(LABELS)
        assert truth.ids.tolist() == [[1, 1, BIG], [0, 1, BIG]]
        assert truth.segments == {1: TruthSegment(0), BIG: TruthSegment(1, is_crowd=True)}


def test_categories_without_a_label_are_void(coco):
    """A class that the model does not know is neither wanted nor punished."""
    truth = open_panoptic(coco, LABELS).clips[0].pictures[0].truth(LABELS)

    assert truth.ids.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert truth.segments == {1: TruthSegment(0)}


def test_layout_of_cityscapes_vps(tmp_path):
    """Two files, either names both; pictures of all frames, maps of some under the same names; frames by their ids, videos apart."""
    ids = [20_002, 20_001, 20_003, 10_001, 10_002, 30_001]
    names = {number: f"{number // 10_000:04}_{number % 10_000:04}_town.png" for number in ids}
    write(tmp_path / "panoptic_im_val_city_vps.json", [image(number, names[number]) for number in ids])
    labelled = (20_002, 10_001, 10_002)
    write(tmp_path / "panoptic_gt_val_city_vps.json", (), [annotation(number, (1, 10, 0), name=names[number]) for number in labelled])
    for number in ids:
        picture(tmp_path / "val" / "img_all" / names[number])
        # Folders that have files of the same names, and are not meant.
        picture(tmp_path / "val" / "img" / names[number])
        picture(tmp_path / "val" / "panoptic_inst" / names[number], map_of([[2, 2, 2]] * 2))
        picture(tmp_path / "val" / "panoptic_video" / names[number], map_of([[1, 1, 0]] * 2))

    found, *others = (open_panoptic(source, LABELS) for source in (tmp_path, *sorted(tmp_path.glob("*.json"))))

    assert all(one.clips == found.clips for one in others)
    assert found.layout == "vps"
    assert found.file.name == "panoptic_gt_val_city_vps.json"
    assert [clip.name for clip in found.clips] == ["1", "2"]
    shown = found.clips[1].pictures
    assert [one.path.name for one in shown] == [names[number] for number in (20_001, 20_002, 20_003)]
    assert shown[0].path.parent.name == "img_all"
    assert [one.truth(LABELS) is None for one in shown] == [True, False, True]
    assert shown[1].truth(LABELS).ids.tolist() == [[1, 1, 0]] * 2


def test_videos_by_name_of_their_pictures(tmp_path):
    """A video_id makes pictures a video whatever their ids; coco on request takes each by itself."""
    write(tmp_path / "panoptic.json", [image(k, video_id=k % 2) for k in range(4)], [annotation(k, (1, 10, 0)) for k in range(4)])
    for k in range(4):
        picture(tmp_path / "pictures" / f"{k}.jpg")
        picture(tmp_path / f"{k}.png", map_of([[1, 1, 1]] * 2))

    found = open_panoptic(tmp_path, LABELS)
    assert found.layout == "vps"
    assert [[one.path.stem for one in clip.pictures] for clip in found.clips] == [["0", "2"], ["1", "3"]]
    assert len(open_panoptic(tmp_path, LABELS, "coco").clips) == 4


def record(**change):
    """A file whose only picture and map are right but for what ``change`` says: (dotted place, value)."""
    content = {"images": [image(1)], "annotations": [annotation(1, (1, 10, 0))]}
    for place, value in change.items():
        *path, last = [int(part) if part.isdecimal() else part for part in place.split("__")]
        target = content
        for part in path:
            target = target[part]
        target[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as panoptic annotations"),
        ("[" * 200_000, "cannot be read as panoptic annotations"),
        ("[]", "holds no object"),
        (json.dumps(record(images={})), "images is no list"),
        (json.dumps(record(images=[5])), "cannot be read as panoptic annotations"),
        (json.dumps(record(images__0__id=1.5)), "id is 1.5"),
        (json.dumps(record(images__0__id=True)), "id is True"),
        (json.dumps(record(images__0__height=0)), "height is 0"),
        (json.dumps(record(images__0__height=60_000, images__0__width=60_000)), "too large"),
        (json.dumps(record(images__0__file_name="../secret.jpg")), "leads out of its folder"),
        (json.dumps(record(annotations__0__file_name="/etc/passwd")), "leads out of its folder"),
        (json.dumps(record(annotations__0__file_name=7)), "file_name is 7"),
        (json.dumps(record(annotations__0__segments_info__0__id=0)), "id is 0"),
        (json.dumps(record(annotations__0__segments_info__0__id=1 << 24)), "id is 16777216"),
        (json.dumps(record(annotations__0__segments_info__0__iscrowd=2)), "iscrowd is 2"),
        (json.dumps(record(annotations__0__segments_info=[{"id": 1, "category_id": 10}] * 2)), "two segments of image_id 1 have one id"),
        (json.dumps(record(annotations__0__segments_info__0__category_id=11)), "none of the model's categories"),
        (json.dumps(record(annotations__0__image_id=8)), "a map of image_id 8, which is no picture"),
        (json.dumps(record(images=[image(1), image(1)])), "several pictures have the id 1"),
        (json.dumps(record(annotations=[annotation(1)] * 2)), "several annotations have the image_id 1"),
        (json.dumps(record(annotations=[])), "lists 1 pictures and 0 maps"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    """The message names the file and what is wrong in it."""
    (tmp_path / "panoptic.json").write_text(content)
    picture(tmp_path / "1.jpg")
    picture(tmp_path / "1.png")

    with pytest.raises(EvaluationError, match=message):
        open_panoptic(tmp_path, LABELS)


def test_a_folder_must_name_one_file(tmp_path, monkeypatch):
    """None, several, a missing folder, or one that is too large to be it: the message says what to give."""
    with pytest.raises(EvaluationError, match="it has none"):
        open_panoptic(tmp_path, LABELS)
    with pytest.raises(EvaluationError, match="does not exist"):
        open_panoptic(tmp_path / "nowhere", LABELS)
    file = write(tmp_path / "panoptic_a.json", [image(1)])
    write(tmp_path / "panoptic_b.json")
    with pytest.raises(EvaluationError, match=r"several: panoptic_a.json, panoptic_b.json. Give the file itself"):
        open_panoptic(tmp_path, LABELS)
    monkeypatch.setattr(panoptic_json, "FILE_BYTES_MAX", 10)
    with pytest.raises(EvaluationError, match="is it really a file of annotations"):
        open_panoptic(file, LABELS)


def test_missing_pictures_and_maps_are_told(coco):
    """Which file, and where it was looked for."""
    (coco / "annotations" / "panoptic_val2017" / "139.png").unlink()
    with pytest.raises(EvaluationError, match=r"139.png is missing"):
        open_panoptic(coco, LABELS)
    for name in ("139", "20285", "7"):
        (coco / "val2017" / f"{name}.jpg").unlink()
    with pytest.raises(EvaluationError, match=r"the picture 139.jpg is in no folder of"):
        open_panoptic(coco, LABELS)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((2, 4, 3), np.uint8), r"has \(2, 4\) pixels, the annotations say \(2, 3\)"),
        (np.zeros((2, 3), np.uint8), "three channels of 8 bits"),
        (np.zeros((2, 3, 3), np.uint16), "three channels of 8 bits"),
        (np.zeros((2, 3, 4), np.uint8), "three channels of 8 bits"),
        (None, "three channels of 8 bits"),
        (b"", "cannot be read"),
    ],
    ids=["size", "grey", "16 bit", "alpha", "no picture", "empty"],
)
def test_damaged_maps_are_refused(coco, pixels, message):
    """A map must be 8-bit RGB of the size that the annotations say."""
    path = coco / "annotations" / "panoptic_val2017" / "139.png"
    if isinstance(pixels, np.ndarray):
        picture(path, pixels)
    else:
        path.write_bytes(b"no picture" if pixels is None else pixels)

    with pytest.raises(EvaluationError, match=message):
        open_panoptic(coco, LABELS).clips[0].pictures[0].truth(LABELS)
