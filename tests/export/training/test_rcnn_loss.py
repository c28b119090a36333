"""The terms of the Mask R-CNN loss against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from export.nets.rcnn.boxes import ROI_WEIGHTS, RPN_WEIGHTS
from export.training.rcnn_loss import (
    ANCHORS_SAMPLED,
    ROIS_POSITIVE_MAX,
    ROIS_SAMPLED,
    SampledRois,
    box_head_loss,
    mask_loss,
    rpn_loss,
    sample_rois,
)
from export.training.rcnn_targets import Truth, encode

LEFT, RIGHT = [10.0, 10, 50, 50], [100.0, 10, 140, 90]
ANCHORS = torch.tensor([LEFT, RIGHT, [10.0, 10, 50, 66], [300, 300, 310, 310], [310, 300, 320, 310]])
"""The objects' own boxes, a taller one around the left object (IoU 0.71), and two of background."""


def _truth(boxes: list[list[float]], classes: list[int], ignore: list[bool] | None = None) -> Truth:
    return Truth(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(classes, dtype=torch.int64),
        torch.tensor(ignore or [False] * len(boxes), dtype=torch.bool),
    )


BOTH, NONE = _truth([LEFT, RIGHT], [1, 2]), _truth([], [])


def _zeros(pictures: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(pictures, len(ANCHORS)), torch.zeros(pictures, len(ANCHORS), 4)


def test_perfect_proposals_cost_nothing() -> None:
    """For a picture with objects beside one without."""
    logits, offsets = _zeros(2)
    logits -= 40
    logits[0, :3] = 40
    offsets[0, 2] = encode(torch.tensor([LEFT]), ANCHORS[2:3], RPN_WEIGHTS)[0]

    losses = rpn_loss(logits, offsets, ANCHORS, [BOTH, NONE])

    assert {name: value.item() for name, value in losses.items()} == pytest.approx({"objectness": 0, "proposal": 0}, abs=1e-6)


def test_proposals_that_say_nothing_cost_log_2() -> None:
    """And their offsets cost a smooth L1 with a short parabola, over all that were sampled."""
    logits, offsets = _zeros(1)
    offsets[0, :3] = torch.nan_to_num(encode(torch.tensor([LEFT, RIGHT, LEFT]), ANCHORS[:3], RPN_WEIGHTS))
    offsets[0, 0, 0] += 2
    offsets[0, 1, 3] += 0.05
    offsets[0, 4] = 99

    losses = rpn_loss(logits, offsets, ANCHORS, [BOTH])

    assert losses["objectness"].item() == pytest.approx(math.log(2), rel=1e-6)
    assert losses["proposal"].item() == pytest.approx((2 - 1 / 18 + 0.05**2 * 9 / 2) / 5, rel=1e-4)


def test_many_anchors_are_sampled() -> None:
    """256 of a picture: the mean stays the same, and no more logits than that get a gradient."""
    anchors = torch.cat([ANCHORS, torch.tensor([[300.0, 300, 310, 310]]).repeat(2000, 1)])
    logits = torch.zeros(1, len(anchors), requires_grad=True)

    losses = rpn_loss(logits, torch.zeros(1, len(anchors), 4), anchors, [BOTH])
    losses["objectness"].backward()

    assert losses["objectness"].item() == pytest.approx(math.log(2), rel=1e-6)
    assert int((logits.grad != 0).sum()) == ANCHORS_SAMPLED
    assert (logits.grad[0, :3] < 0).all()


def test_a_slivers_anchors_have_no_gradient() -> None:
    """It is neither an object nor background."""
    logits, offsets = _zeros(1)
    logits.requires_grad_()

    rpn_loss(logits, offsets, ANCHORS, [_truth([LEFT, RIGHT], [1, 2], [True, False])])["objectness"].backward()

    assert [float(torch.sign(value)) for value in logits.grad[0]] == [0, -1, 0, 1, 1]


def test_objects_own_boxes_are_among_the_rois() -> None:
    """With positives first, and the offsets that lead from each to its object."""
    proposals = torch.tensor([[300.0, 300, 310, 310], [12, 10, 52, 50]])

    found = sample_rois(proposals, BOTH)

    assert sorted(found.labels.tolist(), reverse=True) == [2, 1, 1, 0]
    assert (found.labels[:3] > 0).all()
    for roi, label, owner, offsets in zip(found.rois, found.labels, found.owner, found.offsets, strict=False):
        assert label == BOTH.classes[owner]
        torch.testing.assert_close(offsets, encode(BOTH.boxes[owner][None], roi[None], ROI_WEIGHTS)[0])


def test_a_quarter_of_the_rois_is_positive_at_most() -> None:
    """However many there are."""
    found = sample_rois(torch.cat([ANCHORS[:2].repeat(100, 1), ANCHORS[3:].repeat(100, 1)]), BOTH)

    assert (len(found.rois), len(found.owner), int((found.labels > 0).sum())) == (ROIS_SAMPLED, ROIS_POSITIVE_MAX, ROIS_POSITIVE_MAX)


def test_a_slivers_rois_are_left_out() -> None:
    """Its own box too."""
    found = sample_rois(ANCHORS, _truth([LEFT, RIGHT], [1, 2], [True, False]))

    assert sorted(found.labels.tolist()) == [0, 0, 2, 2]


def _sampled(labels: list[int]) -> SampledRois:
    positives = sum(label > 0 for label in labels)
    return SampledRois(
        torch.zeros(len(labels), 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.zeros(positives, dtype=torch.int64),
        torch.ones(positives, 4),
    )


def test_only_the_offsets_of_the_right_class_count() -> None:
    """Smooth L1 over all RoIs, of the positives of both pictures."""
    sampled = [_sampled([2, 0]), _sampled([1, 0, 0])]
    logits = torch.nn.functional.one_hot(torch.tensor([2, 0, 1, 0, 0]), 3).float() * 60
    offsets = torch.full((5, 3, 4), 99.0)
    offsets[0, 2], offsets[2, 1] = 1, torch.tensor([1, 1, 1.5, 4])

    losses = box_head_loss(logits, offsets, sampled)

    assert {name: value.item() for name, value in losses.items()} == pytest.approx({"class": 0, "box": (0.125 + 2.5) / 5}, abs=1e-6)


def test_classes_that_are_not_known_cost_their_logarithm() -> None:
    """Background counts as one."""
    losses = box_head_loss(torch.zeros(3, 3), torch.zeros(3, 3, 4), [_sampled([1, 0, 0])])

    assert losses["class"].item() == pytest.approx(math.log(3), rel=1e-6)


def test_the_mask_term_is_the_mean_entropy() -> None:
    """Of every cell."""
    wanted = torch.zeros(2, 28, 28)
    wanted[0] = 1
    logits = torch.full((2, 28, 28), -2.0)

    assert mask_loss(logits, wanted).item() == pytest.approx((math.log(1 + math.exp(2)) + math.log(1 + math.exp(-2))) / 2, rel=1e-6)


def test_without_objects_gradients_are_finite() -> None:
    """Nothing is divided by zero, and false alarms are still punished."""
    logits, offsets = (part.requires_grad_() for part in _zeros(1))
    classes, shifts, masks = (torch.zeros(shape, requires_grad=True) for shape in ((2, 3), (2, 3, 4), (0, 28, 28)))
    rois = sample_rois(ANCHORS[:2], NONE)

    losses = {
        **rpn_loss(logits, offsets, ANCHORS, [NONE]),
        **box_head_loss(classes, shifts, [rois]),
        "mask": mask_loss(masks, torch.zeros(0, 28, 28)),
    }
    sum(losses.values()).backward()

    assert all(value.isfinite() for value in losses.values())
    assert (logits.grad > 0).all()
    assert (classes.grad[:, 0] < 0).all()
    assert not any(part.grad.any() for part in (offsets, shifts, masks))
