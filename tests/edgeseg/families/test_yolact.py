"""What the outputs of a YOLACT graph mean in a picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import BundleError
from edgeseg.families import FAMILIES, family
from edgeseg.families.yolact import BOXES, CLASSES, COEFFICIENTS, MASK_IOU, PROTOTYPES, SCORES, YolactFamily
from edgeseg.geometry import Fit
from edgeseg.types import Instances

FIT = Fit.stretch((90, 160), (64, 64))


def _outputs(count: int = 12, seed: int = 0, cells: int = 20) -> dict[str, Any]:
    """Boxes inside, across and beyond the border, and smooth prototypes."""
    random = np.random.default_rng(seed)
    low = random.uniform(-0.3, 1.0, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(0.05, 0.6, (count, 2))], axis=1).astype(np.float32)
    prototypes = cv2.GaussianBlur(random.standard_normal((cells, cells, 3)).astype(np.float32), (5, 5), 0)
    return {
        BOXES: boxes,
        SCORES: np.sort(random.uniform(0.1, 1, count).astype(np.float32))[::-1].copy(),
        CLASSES: random.integers(0, 5, count),
        COEFFICIENTS: random.uniform(-9, 9, (count, 3)).astype(np.float32),
        PROTOTYPES: np.maximum(prototypes, 0),
    }


def _decode(outputs: dict[str, Any], threshold: float = 0.0, fit: Fit = FIT) -> Instances:
    found = YolactFamily().decode(outputs, fit, threshold).instances
    assert found is not None
    return found


def _full_frame(outputs: dict[str, Any], i: int, image_hw: tuple[int, int]) -> np.ndarray:
    """The original's way: assemble everywhere, crop in cells, resize to the whole picture; float32 (H, W)."""
    cells = outputs[PROTOTYPES].shape[0]
    soft = 1 / (1 + np.exp(-(outputs[PROTOTYPES] @ outputs[COEFFICIENTS][i])))
    x1, y1, x2, y2 = outputs[BOXES][i] * np.float32(cells)
    column, row = np.meshgrid(np.arange(cells), np.arange(cells))
    inside_x = (column >= max(min(x1, x2) - 1, 0)) & (column < min(max(x1, x2) + 1, cells))
    inside_y = (row >= max(min(y1, y2) - 1, 0)) & (row < min(max(y1, y2) + 1, cells))
    return cv2.resize((soft * (inside_x & inside_y)).astype(np.float32), image_hw[::-1], interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("image_hw", [(90, 160), (20, 20), (13, 300), (7, 5), (1, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_masks_equal_the_full_frame_result(image_hw: tuple[int, int], seed: int) -> None:
    """Assembled inside the box only, pasted inside its window only, and still the same pixels but for float rounding."""
    outputs = _outputs(seed=seed)
    found = _decode(outputs, fit=Fit.stretch(image_hw, (64, 64)))

    for i in range(len(found)):
        wanted = _full_frame(outputs, i, image_hw)
        decided = np.abs(wanted - 0.5) > 1e-4
        assert np.array_equal(found.masks.paste(i)[decided], (wanted > 0.5)[decided])


def test_columns_belong_together() -> None:
    """Boxes in whole pixels, classes, scores and no ids, row by row."""
    outputs = _outputs(3)
    outputs[BOXES][0] = [0.25, 0.5, 0.5, 1.0]
    found = _decode(outputs)

    assert found.boxes[0].tolist() == [40, 45, 80, 90]
    assert found.classes.tolist() == outputs[CLASSES].tolist()
    assert found.scores.tolist() == outputs[SCORES].tolist()
    assert (found.track_ids.tolist(), found.image_hw, found.mask_scores) == ([-1, -1, -1], (90, 160), None)
    assert (found.classes.dtype, found.boxes.dtype, found.scores.dtype) == (np.int64, np.float32, np.float32)


def test_the_threshold_is_strict_and_empty_rows_never_pass() -> None:
    """A row at the threshold is left out, and so are rows of score -1 or 0 even at threshold 0."""
    outputs = _outputs(5)
    outputs[SCORES][:] = [0.75, 0.5, 0.25, 0.0, -1.0]

    assert [len(_decode(outputs, threshold)) for threshold in (0.8, 0.75, 0.5, 0.3, 0.0)] == [0, 0, 1, 2, 3]


def test_rows_come_out_in_descending_order() -> None:
    """Whatever the order in the graph; equal scores keep theirs."""
    outputs = _outputs(4)
    outputs[SCORES][:] = [0.25, 0.75, 0.5, 0.75]
    outputs[CLASSES][:] = [0, 1, 2, 3]

    assert _decode(outputs).classes.tolist() == [1, 3, 2, 0]


def test_mask_scores_rescore_the_rows_that_are_kept() -> None:
    """Score times predicted IoU of the same row."""
    outputs = _outputs(3) | {MASK_IOU: np.array([0.5, 0.25, 1.0], np.float32)}
    outputs[SCORES][:] = [0.25, 0.75, 0.5]

    assert _decode(outputs, 0.3).mask_scores.tolist() == [0.75 * 0.25, 0.5]


def test_nothing_found_is_empty_columns() -> None:
    """No rows, four box columns, no masks."""
    found = _decode(_outputs(), 1.0)

    assert (len(found), found.boxes.shape, len(found.masks)) == (0, (0, 4), 0)


def test_huge_sums_are_certain_not_errors() -> None:
    """Coefficients that overflow the exponential give plain zeros and ones, without a warning."""
    outputs = _outputs(2)
    outputs[PROTOTYPES] = np.ones((20, 20, 3), np.float32)
    outputs[BOXES][:] = [0, 0, 1, 1]
    outputs[COEFFICIENTS][:] = [[-1000] * 3, [1000] * 3]

    found = _decode(outputs)

    assert [found.masks.paste(i).mean() for i in range(2)] == [0, 1]


def test_the_table_knows_its_families() -> None:
    """By the name that bundles hold; another name is a BundleError that says what to do."""
    assert [family(name).name for name in FAMILIES] == list(FAMILIES)
    with pytest.raises(BundleError, match=r"family 'detr'; this edgeseg knows fasterrcnn, maskrcnn, maskrcnn_d2, panoptic, yolact\. Upgrade edgeseg"):
        family("detr")
