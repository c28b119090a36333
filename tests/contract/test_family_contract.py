"""Every family: what it makes of a graph's outputs is alike in form, whatever its masks are made of."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from edgeseg.families import FAMILIES, panoptic
from edgeseg.geometry import FITS
from edgeseg.types import Instances
from tests.bundles import FOUND, OUTPUTS, ROWS, Found, tiny_expected

HW = (90, 90)


def _found(name: str, fit: str = "stretch", threshold: float = 0.0, found: tuple[Found, ...] = FOUND) -> Instances:
    instances = FAMILIES[name].decode(OUTPUTS[name](found, 64), FITS[fit](HW, (64, 64), "bilinear"), threshold).instances
    assert instances is not None
    return instances


def test_every_family_is_tried() -> None:
    """The table of tiny graphs holds each of them."""
    assert set(OUTPUTS) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_declares_what_its_graphs_give(name: str) -> None:
    """The names that the tiny graph gives, and fits that exist."""
    assert set(FAMILIES[name].outputs) == set(OUTPUTS[name](FOUND, 64))
    assert set(FAMILIES[name].fits) <= set(FITS)


@pytest.mark.parametrize(("name", "fit"), [(name, fit) for name in FAMILIES for fit in FAMILIES[name].fits])
def test_boxes_and_masks_lie_in_the_picture(name: str, fit: str) -> None:
    """Where the tiny graph's detections are, after every fit of the family."""
    found, wanted = _found(name, fit), tiny_expected(HW, score=0.0, family=name)

    assert (found.image_hw, found.masks.image_hw, found.track_ids.tolist()) == (HW, HW, [-1] * len(FOUND))
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)
    np.testing.assert_allclose(found.boxes, [entry.box for entry in wanted], rtol=1e-6)
    assert [np.array_equal(found.masks.paste(i), entry.mask) for i, entry in enumerate(wanted)] == [True] * len(wanted)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_form_of_a_mask_is_the_same_mask(name: str) -> None:
    """Pasted, cropped, as run lengths and as soft values at pixel centres."""
    masks = _found(name).masks
    x, y = np.meshgrid(np.arange(HW[1], dtype=np.float32) + 0.5, np.arange(HW[0], dtype=np.float32) + 0.5)

    for i in range(len(masks)):
        pasted, soft = masks.paste(i), masks.at(i, x, y)
        top, left, inside = masks.crop(i)
        assert pasted.sum() == inside.sum()
        assert np.array_equal(pasted[top : top + inside.shape[0], left : left + inside.shape[1]], inside)
        assert masks.rle(i)["counts"].encode() == coco_mask.encode(np.asfortranarray(pasted, np.uint8))["counts"]
        clear = np.abs(soft - 0.5) > 0.05
        assert np.array_equal((soft > 0.5)[clear], pasted[clear])


# Instances that lie in the same place share no pixel of a panoptic map, and equal ones go the other way round there.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != panoptic.NAME])
def test_rows_above_the_threshold_come_out_best_first(name: str) -> None:
    """Strictly above; rows of score -1 never, even at 0; equal scores keep their order."""
    found = tuple(Found(k, score, (2, 2, 8, 8)) for k, score in enumerate((0.25, 0.75, 0.5, 0.75)))

    assert len(found) < ROWS
    assert _found(name, threshold=0.25, found=found).classes.tolist() == [1, 3, 2]
    assert len(_found(name, found=found)) == 4
    assert len(_found(name, threshold=0.75, found=found)) == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_box_that_is_no_number_is_no_instance(name: str) -> None:
    """A net whose numbers overflow finds less; it does not stop the program."""
    outputs = OUTPUTS[name](FOUND, 64)
    outputs["boxes"][0] = [-np.inf, 0, np.nan, 8]

    instances = FAMILIES[name].decode(outputs, FITS["stretch"](HW, (64, 64), "bilinear"), 0.0).instances

    assert instances is not None
    np.testing.assert_allclose(instances.boxes, _found(name, found=FOUND[1:]).boxes)
