"""What the outputs of a Mask R-CNN graph mean in a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from benchmarks.fill_weights import normal
from edgeseg.families.maskrcnn import (
    BOXES,
    CLASSES,
    MASKS,
    SCORES,
    Detectron2Family,
    FasterRcnnFamily,
    MaskRcnnFamily,
    box_mask,
    float_box_mask,
    soft_mask,
)
from edgeseg.geometry import Fit
from edgeseg.masks import SoftMasks
from edgeseg.types import Instances
from tests.detectron2_reference import pasted

FIT = Fit.same_shape((90, 160), (45, 80))
FAMILIES = [MaskRcnnFamily(), Detectron2Family(), FasterRcnnFamily()]


@pytest.fixture(scope="module")
def golden(checkout) -> dict[str, np.ndarray]:
    """14 boxes in a picture of 96x128 and the float masks that torchvision's paste_masks_in_image gives for them."""
    with np.load(checkout / "tests" / "data" / "maskrcnn" / "standalone_paste.npz") as file:
        return dict(file)


def _golden_masks(golden: dict[str, np.ndarray]) -> SoftMasks:
    logits = (2 * normal("paste.m", 14 * 28 * 28)).astype(np.float32).reshape(14, 28, 28)
    image_hw = tuple(golden["hw"].tolist())
    values = 1 / (1 + np.exp(-logits))
    return SoftMasks(tuple(soft_mask(value, box, image_hw) for value, box in zip(values, golden["boxes"], strict=True)), image_hw)


def _outputs(count: int = 6, seed: int = 0, hw: tuple[int, int] = (45, 80)) -> dict[str, Any]:
    """Boxes inside the network's picture and smooth masks."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 0.7, (count, 2)) * hw[::-1]
    high = np.minimum(low + random.uniform(0.1, 0.6, (count, 2)) * hw[::-1], hw[::-1])
    waves = np.sin(np.linspace(0, 3, 28) + random.uniform(0, 3, (count, 2, 1)))
    return {
        BOXES: np.concatenate([low, high], axis=1).astype(np.float32),
        SCORES: np.sort(random.uniform(0.1, 1, count).astype(np.float32))[::-1].copy(),
        CLASSES: random.integers(0, 5, count),
        MASKS: (0.5 + 0.5 * waves[:, :1, :].transpose(0, 2, 1) * waves[:, 1:, :]).astype(np.float32),
    }


def _decode(outputs: dict[str, Any], threshold: float = 0.0, fit: Fit = FIT, family: Any = None) -> Instances:
    found = (family or MaskRcnnFamily()).decode(outputs, fit, threshold).instances
    assert found is not None
    return found


def _counts(mask: np.ndarray) -> str:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def test_masks_are_pasted_as_the_original_pastes_them(golden) -> None:
    """Every pixel that is not within float rounding of the threshold, for boxes that are negative, tiny or reach out of the picture."""
    masks = _golden_masks(golden)

    for i, soft in enumerate(golden["soft"]):
        decided = np.abs(soft - 0.5) > 1e-5
        assert np.array_equal(masks.paste(i)[decided], (soft > 0.5)[decided])
        assert decided.mean() > 0.999


def test_soft_values_are_those_of_the_original(golden) -> None:
    """At pixel centres, to the step of `SoftMask.at`; 0 where the original pastes nothing."""
    masks = _golden_masks(golden)
    x, y = np.meshgrid(np.arange(128, dtype=np.float32) + 0.5, np.arange(96, dtype=np.float32) + 0.5)

    for i, soft in enumerate(golden["soft"]):
        assert np.abs(masks.at(i, x, y) - soft).max() < 0.05


def test_run_lengths_are_those_of_the_pasted_masks(golden) -> None:
    """As pycocotools encodes them."""
    masks = _golden_masks(golden)

    for i in range(len(masks)):
        assert masks.rle(i)["counts"] == _counts(masks.paste(i))


@pytest.mark.parametrize("box", [(-40, 10, -5, 30), (140, 10, 160, 30), (10, -60, 30, -20), (10, 100, 30, 130), (-30, -30, -20, -20)])
def test_a_box_outside_the_picture_has_an_empty_mask(box: tuple[int, ...]) -> None:
    """Beyond any of its edges, pasted, as run lengths and by its window."""
    corners = np.array(box, np.float32)
    masks = SoftMasks(
        (
            *(paste(np.ones((28, 28), np.float32), corners, (96, 128)) for paste in (soft_mask, float_box_mask)),
            box_mask(corners, (96, 128)),
        ),
        (96, 128),
    )

    for i in range(len(masks)):
        assert not masks.paste(i).any()
        assert masks.crop(i)[2].size == 0
        assert coco_mask.area(masks.rle(i)) == 0


_BOXES = [
    (10.3, 5.7, 70.2, 40.1),
    (0, 0, 128, 96),
    (60.5, 30.5, 61.5, 31.5),
    (3.2, 80.9, 4.1, 81.3),
    (100.25, 10, 128, 12.5),
    (0, 93.1, 127.9, 96),
]


@pytest.mark.parametrize("box", _BOXES)
def test_masks_of_detectron2_are_pasted_as_a_plain_loop_pastes_them(box: tuple[float, ...]) -> None:
    """Every pixel that is not within float rounding of the threshold, pasted and as run lengths, for large, tiny and sub-pixel boxes."""
    values = (1 / (1 + np.exp(-2 * normal(f"paste.{box}", 28 * 28, 0)))).astype(np.float32).reshape(28, 28)
    corners = np.array(box, np.float32)
    masks = SoftMasks((float_box_mask(values, corners, (96, 128)),), (96, 128))
    soft = pasted(values, corners, (96, 128))

    decided = np.abs(soft - 0.5) > 1e-5
    assert np.array_equal(masks.paste(0)[decided], (soft >= 0.5)[decided])
    assert decided.mean() > 0.999
    assert masks.rle(0)["counts"] == _counts(masks.paste(0))


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_detectron2_counts_a_half_as_inside(value: float) -> None:
    """A mask of 0.5 fills its box but for the falling edge; one of 1 reaches to pixel centres on the edge, but for the corners."""
    masks = SoftMasks(
        (float_box_mask(np.full((28, 28), value, np.float32), np.array([10.5, 20.5, 66.5, 76.5], np.float32), (96, 128)),), (96, 128)
    )

    wanted = np.zeros((96, 128), bool)
    inset = int(value == 0.5)
    wanted[20 + inset : 77 - inset, 10 + inset : 67 - inset] = True
    wanted[[20, 20, 76, 76], [10, 66, 10, 66]] = False
    assert np.array_equal(masks.paste(0), wanted)


def test_boxes_are_scaled_per_axis() -> None:
    """By the float32 ratio of the picture's side to the network's, as the original does."""
    outputs = _outputs(1)
    outputs[BOXES][0] = [100, 50, 1333, 749]
    found = _decode(outputs, fit=Fit.same_shape((720, 1280), (749, 1333)))

    ratio_y, ratio_x = np.float32(720) / np.float32(749), np.float32(1280) / np.float32(1333)
    assert found.boxes[0].tolist() == [100 * ratio_x, 50 * ratio_y, 1333 * ratio_x, 749 * ratio_y]


def test_columns_belong_together() -> None:
    """Classes, scores, masks and no ids, row by row; above the threshold only, best first."""
    outputs = _outputs(4)
    outputs[SCORES][:] = [0.25, 0.75, -1.0, 0.5]
    outputs[CLASSES][:] = [0, 1, 2, 3]
    found = _decode(outputs, 0.25)

    assert found.classes.tolist() == [1, 3]
    assert found.scores.tolist() == [0.75, 0.5]
    assert (found.track_ids.tolist(), found.image_hw, found.mask_scores) == ([-1, -1], (90, 160), None)
    assert (found.classes.dtype, found.boxes.dtype, found.scores.dtype) == (np.int64, np.float32, np.float32)
    for row, i in enumerate((1, 3)):
        lone = {name: array[i : i + 1] for name, array in outputs.items()}
        assert np.array_equal(found.masks.paste(row), _decode(lone).masks.paste(0))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_nothing_found_is_empty_columns(family: Any) -> None:
    """No rows, four box columns, no masks."""
    found = _decode(_outputs(), 1.0, family=family)

    assert (len(found), found.boxes.shape, len(found.masks)) == (0, (0, 4), 0)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_hundred_and_more_rows_are_kept(family: Any) -> None:
    """As many as the graph gives."""
    assert len(_decode(_outputs(150), family=family)) == 150


def test_a_letterboxed_picture_finds_what_the_whole_one_does() -> None:
    """Boxes and masks lie where they lie without the free part of the input."""
    outputs = _outputs()
    alone, boxed = Fit.letterbox((90, 160), (45, 80)), Fit((90, 160), (60, 96), (45, 80))

    found, wanted = _decode(outputs, fit=boxed), _decode(outputs, fit=alone)

    assert np.array_equal(found.boxes, wanted.boxes)
    assert all(np.array_equal(found.masks.paste(i), wanted.masks.paste(i)) for i in range(len(wanted)))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_reaches_into_the_free_part_is_cut_at_the_picture(family: Any) -> None:
    """The box ends at the picture's edge, the mask keeps its scale, and what lies wholly beyond is left out."""
    outputs = _outputs(2)
    outputs[BOXES][:] = [[10, 10, 90, 40], [82, 10, 95, 40]]
    outputs[MASKS][:] = np.arange(28, dtype=np.float32) < 14
    found = _decode(outputs, fit=Fit((90, 160), (60, 96), (45, 80)), family=family)

    assert found.boxes.tolist() == [[20, 20, 160, 80]]
    assert np.flatnonzero(found.masks.paste(0)[50])[[0, -1]].tolist() == ([20, 159] if isinstance(family, FasterRcnnFamily) else [20, 99])


def test_without_masks_the_box_is_the_mask() -> None:
    """The pixels whose centres are inside, pasted, as run lengths and as soft values; boxes and scores as with masks."""
    outputs = _outputs(30)
    found, with_masks = _decode(outputs, family=FasterRcnnFamily()), _decode(outputs)
    x, y = np.meshgrid(np.arange(160, dtype=np.float32) + 0.5, np.arange(90, dtype=np.float32) + 0.5)

    assert np.array_equal(found.boxes, with_masks.boxes)
    assert np.array_equal(found.scores, with_masks.scores)
    for i, (x1, y1, x2, y2) in enumerate(found.boxes):
        wanted = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        assert np.array_equal(found.masks.paste(i), wanted)
        assert found.masks.rle(i)["counts"] == _counts(wanted)
        assert np.array_equal(found.masks.at(i, x, y), wanted)
