"""The stage that trains a two-stage net: its proposals, its pictures, and that all of the net learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgeseg.types import Label
from export.nets.rcnn.anchors import level_anchors
from export.nets.rcnn.boxes import RPN_WEIGHTS, decode
from export.nets.rcnn.config import RcnnConfig
from export.nets.rcnn.net import Proposed, Rcnn
from export.nets.rcnn.select import DROPPED, exact_select
from export.training.loss import Target
from export.training.proposals import CANDIDATES_PER_LEVEL, SUPPRESSION_IOU
from export.training.rcnn_stage import RcnnStage, propose, truth_of

CONFIG = RcnnConfig(
    "tiny",
    tuple(Label(f"thing {number}", number) for number in range(1, 7)),
    blocks=(1, 1, 1, 1),
    base_width=16,
    fpn_channels=16,
    box_channels=16,
    mask_channels=16,
    anchor_sides=(10.0, 20.0, 40.0, 60.0, 80.0),
    level_side=56.0,
)
INPUT_HW = (90, 120)


@pytest.fixture
def stage() -> RcnnStage:
    """Of a new net."""
    torch.manual_seed(0)
    return RcnnStage(Rcnn(CONFIG), INPUT_HW)


def _example(count: int) -> tuple[Tensor, list[Target]]:
    """Grey pictures with one bright box each."""
    images, targets = torch.full((count, *INPUT_HW, 3), 60, dtype=torch.uint8), []
    for i in range(count):
        left, top = 10 + 15 * i, 20 + 5 * i
        images[i, top : top + 30, left : left + 40] = 220
        mask = torch.zeros(1, *INPUT_HW)
        mask[0, top : top + 30, left : left + 40] = 1
        box = torch.tensor([[left / 120, top / 90, (left + 40) / 120, (top + 30) / 90]])
        targets.append(Target(box, torch.tensor([1 + i]), mask, torch.tensor([False])))
    return images, targets


def test_a_batch_comes_in_two_parts(stage: RcnnStage) -> None:
    """With enough batches for odd numbers too."""
    parts = list(stage.examples(_example(4)))

    assert [len(images) for images, _ in parts] == [2, 2]
    assert [int(target.classes[0]) for _, targets in parts for target in targets] == [1, 2, 3, 4]
    assert len(stage.batches(5, 0)) == 3


def test_pictures_are_padded_with_the_mean_colour(stage: RcnnStage) -> None:
    """Right and bottom, to 96 x 128; channels come as RGB."""
    images = torch.zeros(1, *INPUT_HW, 3, dtype=torch.uint8)
    images[..., 2] = 255

    prepared = stage._prepared(images)

    assert tuple(prepared.shape) == (1, 3, 96, 128)
    assert (prepared[0, 0, :90, :120].min() > 2, prepared[0, 2, :90, :120].max() < -1) == (True, True)
    assert not prepared[:, :, 90:].any()
    assert not prepared[:, :, :, 120:].any()


def test_truth_is_in_pixels_of_the_input() -> None:
    """Height and width are not confused."""
    found = truth_of(_example(1)[1][0], INPUT_HW)

    torch.testing.assert_close(found.boxes, torch.tensor([[10.0, 20, 50, 50]]))


def test_proposals_are_those_of_greedy_suppression() -> None:
    """Level by level, among the best of each, cut to the picture."""
    torch.manual_seed(1)
    anchors = [torch.from_numpy(level) for level in level_anchors(CONFIG, INPUT_HW)]
    proposed = [Proposed(torch.randn(2, len(level)), 0.2 * torch.randn(2, len(level), 4)) for level in anchors]

    found = propose(proposed, anchors, INPUT_HW)

    for i in range(2):
        wanted = []
        for said, level in zip(proposed, anchors, strict=True):
            boxes = decode(said.offsets[i], level, RPN_WEIGHTS)
            boxes[:, 0::2].clamp_(0, INPUT_HW[1])
            boxes[:, 1::2].clamp_(0, INPUT_HW[0])
            best = said.logits[i].topk(min(CANDIDATES_PER_LEVEL, len(level))).indices
            large = (boxes[best, 2:] - boxes[best, :2] >= 1).all(dim=1)
            ranks = torch.where(large, said.logits[i][best], DROPPED)
            kept = exact_select(boxes[best][None], ranks[None], SUPPRESSION_IOU, len(best))
            wanted.append(boxes[best][kept.index[kept.ranks > DROPPED]])
        torch.testing.assert_close(found[i], torch.cat(wanted), atol=1e-4, rtol=1e-5)
        assert any(len(part) < CANDIDATES_PER_LEVEL for part in wanted[:1])


def test_the_losses_reach_every_weight(stage: RcnnStage) -> None:
    """Five finite terms. The RPN's own convolutions see no gradient of the heads, which take its boxes as given."""
    losses = stage.losses(_example(3))

    assert list(losses) == ["objectness", "proposal", "class", "box", "mask"]
    assert all(value.isfinite() for value in losses.values())
    sum(losses[name] for name in ("class", "box", "mask")).backward(retain_graph=True)
    untouched = {name.split(".")[0] for name, p in stage.net.named_parameters() if p.grad is None}
    assert untouched == {"rpn"}
    sum(losses.values()).backward()
    # Of the levels that RoIs are cut from, one or two have none here; all of the trunk is reached through the others.
    assert all(p.grad is not None and p.grad.isfinite().all() for p in stage.net.parameters())
    assert sum(bool(p.grad.any()) for p in stage.net.parameters()) > 0.95 * len(list(stage.net.parameters()))


def test_a_batch_without_objects_can_be_learnt_from(stage: RcnnStage) -> None:
    """No box, no mask, finite gradients."""
    images, _ = _example(2)
    nothing = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, *INPUT_HW), torch.zeros(0, dtype=torch.bool))

    losses = stage.losses((images, [nothing, nothing]))
    sum(losses.values()).backward()

    assert [losses[name].item() for name in ("proposal", "box", "mask")] == [0, 0, 0]
    assert all(p.grad is None or p.grad.isfinite().all() for p in stage.net.parameters())
