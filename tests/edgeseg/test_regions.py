"""Things of a panoptic map as instances: exactly its regions, in every form of a mask."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from edgeseg.regions import things_of, with_track_ids
from edgeseg.types import Panoptic, Segment

HW = (23, 31)


def _panoptic(seed: int) -> Panoptic:
    """Ragged regions of three things, one of which may be in pieces, and one that has no pixel."""
    random = np.random.default_rng(seed)
    ids = np.where(random.random(HW) < 0.5, 1, 2).astype(np.int32)
    for number in (11, 12, 13):
        y, x = random.integers(0, 15, 2)
        part = ids[y : y + random.integers(1, 14), x : x + random.integers(1, 16)]
        part[random.random(part.shape) < 0.6] = number
    order = ((12, 0.9, 5), (13, 0.8, None), (99, 0.7, None), (11, 0.6, 7))
    things = [Segment(number, number % 3, True, score, int((ids == number).sum()), track) for number, score, track in order]
    return Panoptic(ids, (*things, Segment(1, 0, False, 1.0, int((ids == 1).sum()))))


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_is_its_region_in_every_form(seed: int) -> None:
    """Pasted, cropped, as run lengths and as soft values at pixel centres; the box lies tightly around it."""
    panoptic = _panoptic(seed)
    found = things_of(panoptic)
    x, y = np.meshgrid(np.arange(HW[1], dtype=np.float32) + 0.5, np.arange(HW[0], dtype=np.float32) + 0.5)

    assert found.classes.tolist() == [0, 1, 0, 2]
    assert found.track_ids.tolist() == [5, -1, -1, 7]
    for i, segment in enumerate(panoptic.segments[:4]):
        region = panoptic.ids == segment.id
        assert np.array_equal(found.masks.paste(i), region)
        assert found.masks.rle(i)["counts"].encode() == coco_mask.encode(np.asfortranarray(region, np.uint8))["counts"]
        assert np.array_equal(found.masks.at(i, x, y), region)
        rows, columns = np.nonzero(region)
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]
        assert found.boxes[i].tolist() == tight


def test_a_map_without_things_has_no_instances() -> None:
    """Empty columns of the map's size."""
    found = things_of(Panoptic(np.ones(HW, np.int32), (Segment(1, 0, False, 1.0, 713),)))

    assert (len(found), found.boxes.shape, found.image_hw) == (0, (0, 4), HW)


def test_a_large_mask_can_be_kept_small() -> None:
    """No longer side than asked for; about the same region."""
    ids = np.zeros((300, 400), np.int32)
    ids[20:260, 30:390] = 4
    found = things_of(Panoptic(ids, (Segment(4, 0, True, 0.5, 240 * 360),)), side=64)

    assert max(found.masks.masks[0].values.shape) == 64
    assert np.array_equal(found.masks.paste(0), ids == 4)


def test_things_take_track_ids_in_order() -> None:
    """-1 is none; stuff stays without; another number of ids is refused."""
    panoptic = _panoptic(0)

    after = with_track_ids(panoptic, np.array([3, -1, 0, 8]))

    assert [segment.track_id for segment in after.segments] == [3, None, 0, 8, None]
    assert after.ids is panoptic.ids
    with pytest.raises(ValueError, match="zip"):
        with_track_ids(panoptic, np.array([3]))
