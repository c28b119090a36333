"""Candidates of the panoptic head against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeseg.types import AnyArray
from export.nets.panoptic.boxes import with_corners, with_ends
from export.nets.panoptic.candidates import CandidateSelector
from export.nets.rcnn.detections import Detections
from export.nets.rcnn.operators import op_select
from export.nets.rcnn.proposals import Proposals
from export.nets.rcnn.select import Select, candidate_select
from tests.export.nets.panoptic import reference

FORMS = {"operator": op_select, "candidates": candidate_select}
SIZE = (60, 90)
CASES = 200
CLASSES, COUNT = 4, 8
WEIGHTS = np.array([10, 10, 5, 5])


def _case(random: np.random.Generator) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Proposals (R, 4), logits (R, classes) and offsets (R, classes, 4): near each other, at times none sure of a thing, at times all."""
    rows = int(random.integers(1, 25))
    centre = random.uniform(-0.1, 1.1, (rows, 2)) * SIZE[::-1]
    half = np.exp(random.uniform(0, 3.5, (rows, 2)))
    boxes = np.concatenate([centre - half, centre + half - 1], axis=1)
    copies = rows // 3
    boxes[:copies] = boxes[rows - copies :] + random.normal(0, 2, (copies, 4))
    logits = random.normal(0, 3, (rows, CLASSES))
    logits[:, 0] += random.choice([-3, 0, 12])
    offsets = random.normal(0, 1, (rows, CLASSES, 4)) * random.choice([1, 1, 1, 30])
    return boxes.astype(np.float32), logits.astype(np.float32), offsets.astype(np.float32)


def _select(form: Select, boxes: AnyArray, logits: AnyArray, offsets: AnyArray) -> Detections:
    proposals = Proposals(with_ends(torch.from_numpy(boxes)), torch.ones(len(boxes), dtype=torch.bool))
    found = CandidateSelector(SIZE, COUNT, form)(proposals, torch.from_numpy(logits), torch.from_numpy(offsets))
    return found._replace(boxes=with_corners(found.boxes))


def _wanted(boxes: AnyArray, logits: AnyArray, offsets: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    scores = torch.from_numpy(logits).softmax(dim=1).numpy()
    moved = np.stack([reference.moved(boxes, offsets[:, k] / WEIGHTS, SIZE) for k in range(CLASSES)], axis=1)
    rows, classes = np.array(reference.candidates(moved, scores, COUNT), dtype=np.int64).reshape(-1, 2).T
    return moved[rows, classes], scores[rows, classes], classes


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_candidates_are_those_of_the_plain_loop(form: Select) -> None:
    """Boxes, scores and classes in order, the rest of the rows empty: with none found, more than fit, and boxes outside of the picture."""
    random = np.random.default_rng(7)
    counts = []
    for _ in range(CASES):
        case = _case(random)
        found, (boxes, scores, classes) = _select(form, *case), _wanted(*case)

        count = len(scores)
        counts.append(count)
        np.testing.assert_allclose(found.boxes[:count], boxes, atol=1e-4)
        np.testing.assert_array_equal(found.scores[:count], scores)
        np.testing.assert_array_equal(found.classes[:count], classes)
        assert found.scores[count:].tolist() == [-1] * (COUNT - count)
        assert not found.boxes[count:].any()
        assert not found.classes[count:].any()
    assert {0, 1, COUNT} <= set(counts)


def test_of_equal_scores_the_earlier_proposal_suppresses() -> None:
    """Three boxes in a row, each overlapping the next: the first and the last are left."""
    boxes = np.array([[10, 10, 29, 29], [10, 14, 29, 33], [10, 18, 29, 37]], np.float32)
    logits, offsets = np.tile(np.array([0, 9, 0, 0], np.float32), (3, 1)), np.zeros((3, CLASSES, 4), np.float32)

    found = _select(op_select, boxes, logits, offsets)

    assert sorted(found.boxes[:, 1].tolist()) == [0] * 6 + [10, 18]


def test_things_of_different_classes_suppress_each_other() -> None:
    """A rider on a bicycle is one or the other."""
    boxes = np.array([[10, 10, 29, 29], [10, 11, 29, 29]], np.float32)
    logits, offsets = np.array([[0, 8, 0, 0], [0, 0, 9, 0]], np.float32), np.zeros((2, CLASSES, 4), np.float32)

    found = _select(op_select, boxes, logits, offsets)

    assert found.classes.tolist() == [2] + [0] * 7


def test_a_proposal_that_is_none_gives_no_candidate() -> None:
    """However sure the box head is of what lies in it."""
    proposals = Proposals(torch.tensor([[5.0, 5.0, 9.0, 9.0]]), torch.zeros(1, dtype=torch.bool))
    found = CandidateSelector(SIZE, 2, op_select)(proposals, torch.tensor([[0.0, 9.0]]), torch.zeros(1, 2, 4))

    assert found.scores.tolist() == [-1, -1]


def test_a_candidate_may_shrink_without_a_limit() -> None:
    """Also one of VPSNet, whose RPN has one: a sixty-second part."""
    proposals = Proposals(torch.tensor([[20.0, 20.0, 52.0, 40.0]]), torch.ones(1, dtype=torch.bool))
    offsets = torch.tensor([0.0, 0.0, -25.0, 0.0]).expand(1, 2, 4)

    found = CandidateSelector(SIZE, 2, op_select)(proposals, torch.tensor([[0.0, 9.0]]), offsets)

    assert float(found.boxes[0, 2] - found.boxes[0, 0]) == pytest.approx(32 * np.exp(-5), rel=1e-4)
