"""The terms of the panoptic losses against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from export.nets.rcnn.boxes import RPN_WEIGHTS
from export.training.panoptic_loss import (
    box_head_loss,
    flow_error,
    mask_loss,
    panoptic_loss,
    rpn_loss,
    sample_rois,
    semantic_loss,
    track_loss,
)
from export.training.panoptic_targets import Boxes
from export.training.panoptic_truth import OUTSIDE, SLOTS
from export.training.rcnn_targets import encode
from tests.export.training.panoptic_frames import frames, nothing

TRUTHS, NONE = frames(2).truths, nothing(2).truths
ANCHORS = torch.tensor([[8.0, 8, 40, 32], [40, 28, 72, 52], [8, 8, 40, 40], [80, 0, 90, 9]])
"""Both objects' own boxes, one that is too tall (IoU 0.75), and background."""


def _right_semantic() -> Tensor:
    channels = TRUTHS.channels[:, 2::4, 2::4].long()
    return 40.0 * F.one_hot(torch.where(channels == OUTSIDE, 0, channels), 10).permute(0, 3, 1, 2)


def test_perfect_proposals_cost_nothing() -> None:
    """With objects and without; a proposal that says nothing costs log 2."""
    logits = torch.tensor([[40.0, 40, 40, -40]]).repeat(2, 1)
    offsets = torch.zeros(2, 4, 4)
    offsets[:, 2] = encode(ANCHORS[0], ANCHORS[2], RPN_WEIGHTS)

    for losses in (rpn_loss(logits, offsets, ANCHORS, TRUTHS), rpn_loss(-logits.abs(), offsets, ANCHORS, NONE)):
        assert {name: value.item() for name, value in losses.items()} == pytest.approx({"objectness": 0, "proposal": 0}, abs=1e-6)
    assert rpn_loss(0 * logits, offsets, ANCHORS, TRUTHS)["objectness"].item() == pytest.approx(math.log(2))
    offsets[:, 0, 1] += 2
    assert rpn_loss(logits, offsets, ANCHORS, TRUTHS)["proposal"].item() == pytest.approx((2 - 1 / 18) / 4, rel=1e-5)


def test_right_classes_and_boxes_cost_nothing() -> None:
    """Of the objects' own boxes, whose offsets are 0, and of background; another class's offsets do not count."""
    sampled = sample_rois(Boxes(ANCHORS[3:].expand(2, -1, -1), torch.ones(2, 1, dtype=torch.bool)), TRUTHS)
    labels = sampled.labels.flatten()
    logits = 40.0 * F.one_hot(labels, 7)
    offsets = torch.full((len(labels), 7, 4), 9.0)
    offsets[torch.arange(len(labels)), labels] = 0

    losses = box_head_loss(logits, offsets, sampled, TRUTHS)

    assert sorted(labels[sampled.rois.valid.flatten()].tolist()) == [0, 0, 1, 1, 2, 2]
    assert {name: value.item() for name, value in losses.items()} == pytest.approx({"class": 0, "box": 0}, abs=1e-6)
    wrong = box_head_loss(logits.roll(1, 1), offsets + 1.5, sampled, TRUTHS)
    assert {name: value.item() for name, value in wrong.items()} == pytest.approx({"class": 40, "box": 4 * 4 / 6})


def test_masks_that_do_not_count_cost_nothing() -> None:
    """And without any that counts the loss is 0."""
    logits = torch.stack([torch.full((28, 28), -40.0), torch.zeros(28, 28)])[None]
    wanted = torch.zeros(1, 2, 28, 28)

    assert mask_loss(logits, wanted, torch.tensor([[True, False]])).item() == pytest.approx(0)
    assert mask_loss(logits, wanted, torch.tensor([[True, True]])).item() == pytest.approx(math.log(2) / 2)
    assert mask_loss(logits, wanted, torch.tensor([[False, False]])).item() == 0


def test_semantics_cost_log_of_the_channels_when_they_say_nothing() -> None:
    """Little when they are right, and the padding never matters."""
    right = _right_semantic()
    beside = right.clone()
    beside[:, :, 15] = 77 * torch.randn(2, 10, 24)

    assert semantic_loss(torch.zeros(2, 10, 16, 24), TRUTHS).item() == pytest.approx(math.log(10), rel=1e-5)
    # Where classes meet, resized logits are wrong by nature.
    assert semantic_loss(right, TRUTHS) < 1.5
    assert semantic_loss(right.roll(1, 1), TRUTHS) > 30


@pytest.mark.parametrize("void", [False, True])
def test_the_panoptic_head_learns_slots(void: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right semantics and masks cost nothing, without masks objects cost as much as two equal channels; dropped ones become unknown."""
    monkeypatch.setattr("export.training.panoptic_loss.DROPPED", 0.0)
    masks = torch.full((2, SLOTS, 28, 28), 20.0)

    assert panoptic_loss(_right_semantic(), masks, TRUTHS, void).item() == pytest.approx(0, abs=1e-4)
    assert panoptic_loss(_right_semantic(), -masks, TRUTHS, void) < 1e-3 if not void else True
    monkeypatch.setattr("export.training.panoptic_loss.DROPPED", 1.0)
    dropped = panoptic_loss(_right_semantic(), masks, TRUTHS, void).item()
    assert dropped == pytest.approx(0, abs=1e-4)


def test_objects_in_the_wrong_slots_cost() -> None:
    """The masks of one object do not stand for another's."""
    truths = TRUTHS._replace(boxes=TRUTHS.boxes[:, [1, 0, *range(2, SLOTS)]])

    assert panoptic_loss(_right_semantic(), torch.full((2, SLOTS, 28, 28), 20.0), truths, void=False) > 1


def test_pictures_without_objects_have_no_slot_to_learn() -> None:
    """Finite, and right stuff costs nothing."""
    semantic = torch.zeros(2, 10, 16, 24)
    semantic[:, 0], semantic[:, 1, 8:] = 40, 80

    for void in (False, True):
        wanted = NONE._replace(channels=torch.where(NONE.channels == OUTSIDE, OUTSIDE, semantic.argmax(1).repeat_interleave(4, 1)
                                                    .repeat_interleave(4, 2)).to(torch.uint8))  # fmt: skip
        assert panoptic_loss(semantic, torch.zeros(2, SLOTS, 28, 28), wanted, void).item() == pytest.approx(0, abs=1e-4)


def test_flow_is_judged_where_both_frames_show_it() -> None:
    """A distance in cells."""
    wanted, weight = torch.zeros(1, 2, 2, 2), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    found = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1) * torch.tensor([[1.0, 0.0], [9.0, 9.0]])

    assert flow_error(found, wanted, weight).item() == pytest.approx(2.5, abs=1e-3)


def test_vectors_tell_who_is_who_and_who_is_new() -> None:
    """Large products with oneself, negative ones with others, and 0 for nobody."""
    ids = torch.zeros(1, SLOTS, dtype=torch.int64)
    ids[0, :2] = torch.tensor([8, 99])
    now, then = frames(1).truths._replace(ids=ids), frames(1).truths
    vectors, earlier = torch.zeros(2, 1, SLOTS, 3)
    earlier[0, 0], earlier[0, 1] = torch.tensor([-4.0, 0, -4]), torch.tensor([4.0, 0, -4])
    vectors[0, 0], vectors[0, 1] = torch.tensor([4.0, 0, 0]), torch.tensor([0.0, 0, 4])

    assert track_loss(vectors, earlier, now, then).item() == pytest.approx(0, abs=1e-5)
    assert track_loss(0 * vectors, earlier, now, then).item() == pytest.approx(math.log(3), rel=1e-5)
    assert track_loss(-vectors, earlier, now, then).item() > 7


def test_large_products_cost_by_themselves() -> None:
    """Their excess over 20, squared; where they are right too."""
    now = frames(1).truths
    vectors = torch.zeros(1, SLOTS, 2)
    vectors[0, 0, 0] = vectors[0, 1, 1] = 120**0.5

    assert track_loss(vectors, vectors, now, now).item() == pytest.approx(1e-3 * 2 * 100**2 / 2)
