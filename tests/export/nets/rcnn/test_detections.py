"""Detections against torchvision's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.nets.rcnn.config import DETECTRON2
from export.nets.rcnn.detections import Detections, DetectionSelector
from export.nets.rcnn.operators import op_select
from export.nets.rcnn.proposals import Proposals
from export.nets.rcnn.select import candidate_select, exact_select
from tests.export.nets.rcnn.facts import PARTS, predicted, rois, standalone

FORMS = {"operator": op_select, "exact": exact_select, "candidates": candidate_select}
SIZE_HW = (640, 853)


def _all(boxes: torch.Tensor) -> Proposals:
    return Proposals(boxes, torch.ones(len(boxes), dtype=torch.bool))


def _found(detections: Detections) -> int:
    return int((detections.scores > 0).sum())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tag", ["many", "few", "small"])
def test_detections_are_those_of_torchvision(tag: str, form: str) -> None:
    """To the bit and in order, out of 4074, 330 and 80 candidates."""
    wanted = standalone("boxpost")
    count, *_, background, candidates = wanted[f"{tag}_cfg"].tolist()
    logits, offsets = predicted(tag, int(count), background)

    found = DetectionSelector(PARTS, SIZE_HW, 100, FORMS[form])(_all(rois(tag, int(count), SIZE_HW)), logits, offsets)

    assert int((logits.softmax(dim=1)[:, 1:] > 0.05).sum()) == candidates
    rows = _found(found)
    np.testing.assert_array_equal(found.scores[:rows], wanted[f"{tag}_scores"])
    np.testing.assert_array_equal(found.classes[:rows] + 1, wanted[f"{tag}_labels"])
    np.testing.assert_array_equal(found.boxes[:rows], wanted[f"{tag}_boxes"])


@pytest.mark.parametrize("form", FORMS)
def test_rows_without_a_detection_are_empty(form: str) -> None:
    """Score -1, a box of zeros and class 0, behind all others; nothing at all when the background is sure."""
    logits, offsets = predicted("small", 37, 6.0)
    boxes = _all(rois("small", 37, SIZE_HW))
    logits[:, 0] += 1
    select = DetectionSelector(PARTS, SIZE_HW, 100, FORMS[form])

    some, none = select(boxes, logits, offsets), select(boxes, logits + torch.eye(91)[0] * 50, offsets)

    rows = _found(some)
    assert 0 < rows < 100
    assert some.scores[rows:].unique().tolist() == [-1]
    assert not some.boxes[rows:].any()
    assert not some.classes[rows:].any()
    assert (_found(none), none.boxes.abs().max().item(), none.classes.max().item()) == (0, 0, 0)


@pytest.mark.parametrize("form", FORMS)
def test_more_may_be_asked_for_than_there_are_candidates(form: str) -> None:
    """Two RoIs and 90 classes cannot give 1000 detections; 200 of a thousand RoIs are the first 100 and 100 more."""
    few = DetectionSelector(PARTS, SIZE_HW, 1000, FORMS[form])(
        _all(rois("few", 1000, SIZE_HW)[:2]), *(x[:2] for x in predicted("few", 1000, 3.0))
    )
    logits, offsets = predicted("many", 1000, 3.0)
    longer, shorter = (
        DetectionSelector(PARTS, SIZE_HW, n, FORMS[form])(_all(rois("many", 1000, SIZE_HW)), logits, offsets) for n in (200, 100)
    )

    assert (few.boxes.shape, 0 < _found(few) < 40) == ((1000, 4), True)
    assert _found(longer) == 200
    torch.testing.assert_close(longer.boxes[:100], shorter.boxes, rtol=0, atol=0)


def test_proposals_that_are_not_valid_give_nothing() -> None:
    """However sure the second stage is."""
    logits, offsets = predicted("small", 37, -6.0)

    found = DetectionSelector(PARTS, SIZE_HW, 100, op_select)(
        Proposals(rois("small", 37, SIZE_HW), torch.zeros(37, dtype=torch.bool)), logits, offsets
    )

    assert _found(found) == 0


@pytest.mark.parametrize(("flavour", "rows"), [(PARTS.flavour, 0), (DETECTRON2, 1)])
def test_only_torchvision_drops_small_detections(flavour: object, rows: int) -> None:
    """A box of a thousandth of a pixel."""
    logits, offsets = torch.zeros(1, 91), torch.zeros(1, 91, 4)
    logits[0, 5] = 9

    boxes = _all(torch.tensor([[8.0, 8.0, 8.001, 20.0]]))

    assert _found(DetectionSelector(replace(PARTS, flavour=flavour), SIZE_HW, 10, op_select)(boxes, logits, offsets)) == rows


def test_detections_are_cut_to_the_picture() -> None:
    """A box that its offset moves out of the picture to the right ends at the picture's edge."""
    logits, offsets = torch.zeros(1, 91), torch.zeros(1, 91, 4)
    logits[0, 1], offsets[0, 1, 0] = 9, 5

    found = DetectionSelector(PARTS, SIZE_HW, 10, op_select)(_all(torch.tensor([[800.0, 600.0, 850.0, 700.0]])), logits, offsets)

    torch.testing.assert_close(found.boxes[0], torch.tensor([825.0, 600.0, 853.0, 640.0]))
