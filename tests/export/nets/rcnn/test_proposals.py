"""Anchors and proposals against torchvision's numbers, and what detectron2 does otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.types import Label
from export.nets.rcnn.anchors import level_anchors, level_strides
from export.nets.rcnn.config import DETECTRON2, RcnnConfig, level_sizes
from export.nets.rcnn.net import Proposed
from export.nets.rcnn.operators import op_select
from export.nets.rcnn.proposals import ProposalSelector
from export.nets.rcnn.select import exact_select, matrix_select
from tests.export.nets.rcnn.facts import PARTS, golden, proposed, standalone

FORMS = {"operator": op_select, "exact": exact_select, "matrix": matrix_select}
ONE = RcnnConfig("one", (Label("thing", 1),), blocks=(1, 1, 1, 1))


def _in_order(boxes: np.ndarray) -> np.ndarray:
    """Proposals of equal scores have no order of their own: 5 pairs of 1000 do here."""
    return boxes[np.lexsort(boxes.T)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tag", ["a", "b"])
def test_proposals_are_those_of_torchvision(tag: str, form: str) -> None:
    """To the bit: with collapsed boxes and cut heights, 1000 of each level for 1000, and 300 for 200."""
    wanted = standalone("rpn")
    *_, height, width, per_level, count = wanted[f"{tag}_cfg"].tolist()
    selector = ProposalSelector(PARTS, (height, width), count, FORMS[form])
    selector.per_level = per_level

    found = selector(proposed(tag, (height, width)))

    assert found.valid.all()
    np.testing.assert_array_equal(_in_order(found.boxes.numpy()), _in_order(wanted[f"{tag}_boxes"]))


@pytest.mark.parametrize("tag", ["a", "b"])
def test_anchors_are_those_of_torchvision(tag: str) -> None:
    """To the bit, in order, on padded pictures."""
    wanted = standalone("rpn")

    found = np.concatenate(level_anchors(PARTS, tuple(wanted[f"{tag}_cfg"].tolist()[2:4])))

    np.testing.assert_array_equal(found[::97], wanted[f"{tag}_anchors"])


@pytest.mark.parametrize(("model", "case"), [("maskrcnn_resnet50_fpn", "astronaut_480"), ("maskrcnn_resnet50_fpn", "coffee_800")])
def test_anchor_strides_are_those_of_torchvision(model: str, case: str) -> None:
    """On P6 they are what the padded size leaves: 60 for 480 pixels, 64 for 800, 61 for 1216."""
    wanted = golden(model, case)

    assert level_strides(PARTS, tuple(wanted["resized_hw"])) == [tuple(stride) for stride in wanted["anchor_strides"]]


def test_anchors_of_detectron2_are_not_rounded() -> None:
    """And P6 has a stride of 64 whatever the size: the second anchor of its first row begins 64 pixels to the right of the first."""
    levels = level_anchors(replace(PARTS, flavour=DETECTRON2), (480, 480))

    np.testing.assert_allclose(levels[0][0], [-22.627417, -11.313708, 22.627417, 11.313708], rtol=1e-6)
    np.testing.assert_allclose(levels[4][3] - levels[4][0], [64, 0, 64, 0])
    assert [len(level) for level in levels] == [3 * rows * columns for rows, columns in level_sizes((480, 480))]


def _word(logits: list[float], offsets: list[list[float]], size_hw: tuple[int, int]) -> list[Proposed]:
    """An RPN that says this of the first anchors of P2, and next to nothing of all others."""
    levels = [(3 * rows * columns) for rows, columns in level_sizes(size_hw)]
    said = [Proposed(torch.full((1, count), -60.0), torch.zeros(1, count, 4)) for count in levels]
    said[0].logits[0, : len(logits)] = torch.tensor(logits)
    said[0].offsets[0, : len(logits)] = torch.tensor(offsets)
    return said


@pytest.mark.parametrize("form", FORMS)
def test_detectron2_ranks_by_logit(form: str) -> None:
    """Logits of 30 and 31 have the same sigmoid: only their own order tells which of two equal boxes is the better."""
    config, size_hw = replace(ONE, flavour=DETECTRON2), (64, 64)
    # The first two anchors of the middle of the picture, moved apart a little.
    said = _word([30.0, 31.0], [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]], size_hw)

    best = ProposalSelector(config, size_hw, 2, FORMS[form])(said).boxes

    square = torch.tensor(level_anchors(config, size_hw)[0][1]) + 32
    torch.testing.assert_close(best[0], square)


@pytest.mark.parametrize(("flavour", "kept"), [(PARTS.flavour, 0), (DETECTRON2, 1)])
def test_detectron2_keeps_slivers(flavour: object, kept: int) -> None:
    """A proposal of 1e-4 pixels is dropped by torchvision only; one without area by both."""
    config, size_hw = replace(ONE, flavour=flavour), (64, 64)
    sliver, flat = [0.5, 0.5, float(np.log(1e-4 / 45.0)), 0.0], [0.6, 0.6, -200.0, 0.0]

    boxes = ProposalSelector(config, size_hw, 3, exact_select)(_word([60.0, 59.0], [sliver, flat], size_hw)).boxes

    widths = boxes[:, 2] - boxes[:, 0]
    assert int((widths < 1).sum()) == kept


@pytest.mark.parametrize("form", FORMS)
def test_rows_without_a_proposal_say_so(form: str) -> None:
    """A picture of one cell has 15 anchors, of which few survive; the others of the 1000 rows are not valid."""
    levels = level_sizes((20, 20))
    said = [Proposed(torch.zeros(1, 3 * rows * columns), torch.zeros(1, 3 * rows * columns, 4)) for rows, columns in levels]

    found = ProposalSelector(ONE, (20, 20), 1000, FORMS[form])(said)

    assert found.boxes.shape == (1000, 4)
    assert 5 <= int(found.valid.sum()) <= sum(3 * rows * columns for rows, columns in levels)
    assert found.valid.tolist() == sorted(found.valid.tolist(), reverse=True)


def test_few_may_be_chosen_from_many() -> None:
    """The first 50 of 1000 proposals are the 50 that are asked for: fewer rows change none of them."""
    size_hw = (250, 311)
    boxes = [ProposalSelector(PARTS, size_hw, count, matrix_select)(proposed("a", size_hw)).boxes for count in (50, 1000)]

    torch.testing.assert_close(boxes[0], boxes[1][:50], rtol=0, atol=0)
