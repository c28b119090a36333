"""Targets of a whole batch against those of one picture after the other."""

from __future__ import annotations

import torch

from export.nets.panoptic.anchors import level_anchors
from export.nets.panoptic.boxes import with_ends
from export.nets.rcnn.net import Proposed
from export.training import rcnn_stage, rcnn_targets
from export.training.panoptic_targets import Boxes, match_anchors, match_rois, propose, sample
from export.training.panoptic_truth import SLOTS, Truths
from tests.export.training.panoptic_frames import INPUT_HW, tiny


def _random(pictures: int) -> Truths:
    """Boxes on a coarse grid, so that ties and exact hits are frequent, in 0 to all slots."""
    low = 10.0 * torch.randint(0, 8, (pictures, SLOTS, 2))
    size = 10.0 * torch.randint(1, 4, (pictures, SLOTS, 2))
    used = torch.arange(SLOTS) < torch.randint(0, SLOTS + 1, (pictures, 1))
    classes = torch.randint(1, 7, (pictures, SLOTS)) * used
    boxes = torch.cat([low, low + size], dim=2) * used[..., None]
    unseen = torch.zeros(pictures, 1, 1, dtype=torch.uint8)
    return Truths(boxes, classes, (torch.rand(pictures, SLOTS) < 0.2) & used, classes, unseen, unseen)


def _of_picture(truths: Truths, i: int) -> rcnn_targets.Truth:
    used = truths.classes[i] > 0
    return rcnn_targets.Truth(truths.boxes[i, used], truths.classes[i, used], truths.ignore[i, used])


def test_matches_are_those_of_single_pictures() -> None:
    """On 100 pictures: labels of anchors and of RoIs, and the owner of each positive."""
    torch.manual_seed(0)
    truths = _random(100)
    low = 10.0 * torch.randint(0, 8, (40, 2))
    anchors = torch.cat([low, low + 10.0 * torch.randint(1, 4, (40, 2))], dim=1)
    by_anchor = match_anchors(truths, anchors)
    by_roi = match_rois(truths, Boxes(anchors.expand(100, -1, -1), torch.ones(100, 40, dtype=torch.bool)))

    for i in range(100):
        truth = _of_picture(truths, i)
        for found, wanted in ((by_anchor, rcnn_targets.match_anchors(truth, anchors)), (by_roi, rcnn_targets.match_rois(truth, anchors))):
            assert found.labels[i].tolist() == wanted.labels.tolist()
            positive = wanted.labels > 0
            assert found.owner[i][positive].tolist() == wanted.owner[positive].tolist()


def test_boxes_that_do_not_count_are_no_example() -> None:
    """Neither object nor background."""
    rois = Boxes(torch.tensor([[[0.0, 0, 10, 10]]]), torch.tensor([[False]]))

    assert match_rois(_random(1), rois).labels.tolist() == [[rcnn_targets.NEITHER]]


def test_a_sample_holds_positives_first_and_fills_up_with_background() -> None:
    """No more positives than allowed, no more of both than asked for, nothing that is neither."""
    labels = torch.tensor([[1, 0, 2, 0, 3, -1, 0, 0], [0, 0, -1, -1, -1, -1, -1, -1], [1, 1, 1, 1, 1, 1, 1, 1]])
    chosen = sample(labels, 5, 2)
    found = [labels[i][chosen.index[i]][chosen.valid[i]].tolist() for i in range(3)]

    assert [value > 0 for value in found[0]] == [True, True, False, False, False]
    assert found[0][2:] == [0, 0, 0]
    assert found[1] == [0, 0]
    assert found[2] == [1, 1]
    assert all(len(set(chosen.index[i][chosen.valid[i]].tolist())) == len(found[i]) for i in range(3))


def test_proposals_are_those_of_single_pictures() -> None:
    """Best first in each level, without those that overlap a better one."""
    torch.manual_seed(1)
    anchors = [with_ends(torch.from_numpy(level)) for level in level_anchors(tiny("upsnet_demo"), INPUT_HW)]
    proposed = [Proposed(torch.randn(3, len(level)), 0.2 * torch.randn(3, len(level), 4)) for level in anchors]

    found = propose(proposed, anchors, INPUT_HW)

    wanted = rcnn_stage.propose(proposed, anchors, INPUT_HW)
    for i in range(3):
        torch.testing.assert_close(found.corners[i, found.valid[i]], wanted[i])
    assert not found.valid.all()
