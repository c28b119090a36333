"""Panoptic maps in COCO's format: what is read back is what was found."""

from __future__ import annotations

import contextlib
import json
import tracemalloc

import numpy as np
import pytest

from edgeseg.errors import SinkError, UsageError
from edgeseg.opencv import opencv
from edgeseg.sinks import JsonlSink
from edgeseg.sinks.panoptic import LISTING, PanopticSink, ids_of
from edgeseg.types import Frame, Label, Panoptic, Result, Segment, Step

LABELS = (Label("sky", 21, is_thing=False), Label("floor", 22, is_thing=False), Label("cat", 17))
HW = (12, 20)


def result_of(*things, index=0, hw=HW):
    """Sky over floor with void at the bottom, and things, given as (track id, x), 3 by 4 pixels."""
    ids = np.ones(hw, np.int32)
    ids[6:], ids[10:] = 2, 0
    segments = []
    for k, (track_id, x) in enumerate(things):
        ids[2:6, x : x + 3] = 4 + k
        segments.append(Segment(4 + k, 2, True, 0.9 - 0.1 * k, 12, track_id))
    stuff = [Segment(n, n - 1, False, 1.0, int((ids == n).sum())) for n in (1, 2)]
    return Result(index, Step.KEY, LABELS, hw, panoptic=Panoptic(ids, (*segments, *stuff)))


def frame_of(index=0, stream="clip", hw=HW):
    return Frame(np.zeros((*hw, 3), np.uint8), index=index, stream=stream)


def read_ids(path):
    """int (H, W): R + 256 G + 65536 B."""
    blue, green, red = (opencv().imread(str(path))[..., k].astype(int) for k in range(3))
    return red + 256 * green + 65536 * blue


def test_maps_and_listing_are_in_coco_format(tmp_path):
    """Every pixel's id is listed with its category, area and box; void is 0; a frame without a pixel of a segment does not list it."""
    result = result_of((7, 3), (None, 10))
    result.panoptic.ids[result.panoptic.ids == 2] = 1
    with PanopticSink(tmp_path / "maps", keep_names=False) as sink:
        sink.write(frame_of(3), result)

    listing = json.loads((tmp_path / "maps" / LISTING).read_text())
    assert listing["categories"][1:] == [{"id": 22, "name": "floor", "isthing": 0}, {"id": 17, "name": "cat", "isthing": 1}]
    assert listing["images"] == [{"id": 3, "file_name": "000003.png", "height": 12, "width": 20}]
    (annotation,) = listing["annotations"]
    assert (annotation["image_id"], annotation["file_name"]) == (3, "000003.png")
    ids = read_ids(tmp_path / "maps" / "000003.png")
    first, second, sky = annotation["segments_info"]
    assert first == {"id": ids[3, 4], "category_id": 17, "area": 12, "bbox": [3, 2, 3, 4], "iscrowd": 0, "track_id": 7, "score": 0.9}
    assert (second["id"], second["track_id"], second["bbox"]) == (ids[3, 11], None, [10, 2, 3, 4])
    assert (sky["id"], sky["category_id"], sky["area"], sky["bbox"]) == (ids[0, 0], 21, 12 * 20 - 24 - 40, [0, 0, 20, 10])
    assert (ids[10:] == 0).all()
    assert len({0, first["id"], second["id"], sky["id"]}) == 4


def test_an_object_has_one_id_in_all_frames(tmp_path):
    """Where it is, in which order and among which others does not matter; nor does that for stuff."""
    with PanopticSink(tmp_path, keep_names=False) as sink:
        sink.write(frame_of(0), result_of((7, 3), (8, 10), index=0))
        sink.write(frame_of(1), result_of((9, 0), (8, 9), (7, 14), index=1))

    first, second = read_ids(tmp_path / "000000.png"), read_ids(tmp_path / "000001.png")
    assert (first[3, 4], first[3, 11], first[0, 0]) == (second[3, 15], second[3, 10], second[0, 19])
    assert second[3, 1] not in np.unique(first)


def test_ids_never_collide():
    """On random frames: all ids of a frame differ and fit 24 bits; equal class and track have equal ids, others differ."""
    rng = np.random.default_rng(8)
    known = {}
    for _ in range(1000):
        labels = int(rng.choice([1, 3, 19, 133]))
        things = rng.integers(0, labels, rng.integers(0, 12))
        tracks = rng.choice([0, 1, 2, 50, 100_000], len(things))
        pairs = rng.permutation(sorted(set(zip(things.tolist(), tracks.tolist(), strict=True)))).tolist()
        segments = [Segment(n, c, True, 1.0, 1, None if rng.random() < 0.3 else t) for n, (c, t) in enumerate(pairs)]
        segments += [Segment(900 + c, c, False, 1.0, 1) for c in range(min(labels, 2))]

        ids = ids_of(segments, labels)

        assert len(set(ids)) == len(ids)
        assert all(0 < number < 1 << 24 for number in ids)
        for segment, number in zip(segments, ids, strict=True):
            if segment.track_id is not None or not segment.is_thing:
                key = (labels, segment.class_id, segment.track_id)
                assert known.setdefault(key, number) == number
    for labels in (1, 3, 19, 133):
        numbers = [number for key, number in known.items() if key[0] == labels]
        assert len(set(numbers)) == len(numbers)


def test_hundreds_of_things_and_track_ids_without_end_get_ids():
    """More than 255 things of a class without track ids, and track ids beyond 24 bits."""
    many = [Segment(n, 0, True, 1.0, 1) for n in range(1, 400)]
    late = [Segment(500, 0, True, 1.0, 1, 1 << 40), Segment(501, 0, True, 1.0, 1, (1 << 40) + 1), Segment(502, 0, False, 1.0, 1)]

    ids = ids_of([*many, *late], 133)

    assert len(set(ids)) == 402
    assert all(0 < number < 1 << 24 for number in ids)


def test_far_apart_track_ids_have_ids_of_their_own():
    """Ids that differ in their highest bits alone stay apart, and what has no track id gives way to what has."""
    tracked = [Segment(n, 0, True, 1.0, 1, track) for n, track in enumerate((0, 1 << 20, 1 << 21, 1 << 22, 1 << 23, (1 << 24) - 3))]
    untracked = [Segment(100, 0, True, 1.0, 1), Segment(101, 0, True, 1.0, 1)]

    ids = ids_of([*untracked, *tracked], 1)

    assert len(set(ids)) == 8
    assert ids[2:] == ids_of(tracked, 1)


def test_pictures_keep_their_names(tmp_path):
    """Maps are called like the pictures of a folder, always as PNG, and the listing names both."""
    with PanopticSink(tmp_path, keep_names=True) as sink:
        sink.write(frame_of(0, "a.jpg"), result_of())
        sink.write(frame_of(1, "a.png", hw=(15, 16)), result_of(index=1, hw=(15, 16)))

    listing = json.loads((tmp_path / LISTING).read_text())
    assert [image["file_name"] for image in listing["images"]] == ["a.jpg", "a.png"]
    assert [entry["file_name"] for entry in listing["annotations"]] == ["a.jpg.png", "a.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg.png", "a.png", LISTING]


def test_listing_is_whole_when_the_run_ends_early(tmp_path, monkeypatch):
    """An interruption amid a frame, with half of its entries written, leaves a listing of the frames before."""

    def interrupted(_entry):
        sink._listing._annotations.ended().write(b"half of an entry")
        raise KeyboardInterrupt

    with PanopticSink(tmp_path, keep_names=False) as sink:
        sink.write(frame_of(0), result_of((7, 3)))
        sink.write(frame_of(1), result_of((7, 4), index=1))
        monkeypatch.setattr(sink._listing._annotations, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sink.write(frame_of(2), result_of((7, 4), index=2))
    sink.close()

    listing = json.loads((tmp_path / LISTING).read_text())
    assert [entry["image_id"] for entry in listing["annotations"]] == [image["id"] for image in listing["images"]] == [0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.png", "000001.png", "000002.png", LISTING]


def test_full_disk_is_an_error_and_what_was_written_stays_readable(tmp_path, file_size_limit):
    """The frame that does not fit is left out of the listing."""
    sink = PanopticSink(tmp_path, keep_names=False)
    sink.write(frame_of(0), result_of((7, 3)))
    written = 1
    with file_size_limit(900), contextlib.suppress(SinkError):
        for index in range(1, 20):
            sink.write(frame_of(index), result_of((7, 3), index=index))
            written += 1
    sink.close()

    listing = json.loads((tmp_path / LISTING).read_text())
    assert 1 < written < 20
    assert len(listing["annotations"]) == len(listing["images"]) == written


def test_listing_that_cannot_be_finished_leaves_the_older_one(tmp_path, file_size_limit):
    """It is written beside its name."""
    (tmp_path / LISTING).write_text("older")
    sink = PanopticSink(tmp_path, keep_names=False)
    sink.write(frame_of(0), result_of((7, 3)))

    with file_size_limit(400), pytest.raises(SinkError, match=r"panoptic\.json cannot be written"):
        sink.close()
    assert (tmp_path / LISTING).read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.png", LISTING]


def test_memory_does_not_grow_with_the_run(tmp_path):
    """Hours of frames are listed on the disk, not in memory."""
    with PanopticSink(tmp_path, keep_names=False) as sink:
        frame, result = frame_of(), result_of((7, 3), (8, 10))
        sink.write(frame, result)
        tracemalloc.start()
        for _ in range(150):
            sink.write(frame, result)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert len(json.loads((tmp_path / LISTING).read_text())["annotations"]) == 151
    assert grown < 50_000


def test_result_without_a_map_is_wrong_usage_and_a_dropped_frame_is_left_out(tmp_path, make_frame, make_result):
    """The message says which bundle is needed; frames that the schedule dropped have no map."""
    with PanopticSink(tmp_path / "maps", keep_names=False) as sink:
        sink.write(frame_of(), Result(0, Step.DROP, LABELS, HW))
        with pytest.raises(UsageError, match=r"instances alone.*Take a panoptic bundle"):
            sink.write(make_frame(), make_result())

    assert not (tmp_path / "maps").exists()


def test_lines_name_the_file_of_the_map(tmp_path):
    """With maps in a folder, a JSON line says which is its frame's; without, it does not."""
    sink = PanopticSink(tmp_path, keep_names=False)
    for name, map_name in (("a", sink.name_of), ("b", None)):
        with JsonlSink(str(tmp_path / name), map_name) as lines:
            lines.write(frame_of(5), result_of((7, 3), index=5))

    named, bare = (json.loads((tmp_path / name).read_text())["panoptic"] for name in "ab")
    assert named == {"file": "000005.png", **bare}
    assert "file" not in bare


@pytest.mark.parametrize("place", ["missing/new", "file", "file/new"])
def test_folder_that_cannot_be_made_is_found_out_at_once(tmp_path, place):
    """The parent must exist and nothing else may have the name."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkError, match=r"does not exist|is a file"):
        PanopticSink(tmp_path / place, keep_names=True)
