"""Which object anchors and RoIs belong to, against plain loops and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.ops.boxes import box_iou
from export.nets.rcnn.boxes import ROI_WEIGHTS, RPN_WEIGHTS, decode
from export.training.rcnn_targets import NEITHER, Truth, encode, match_anchors, match_rois, sample


def truth(boxes: list[list[float]], classes: list[int], ignore: list[bool] | None = None) -> Truth:
    return Truth(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(classes, dtype=torch.int64),
        torch.tensor(ignore or [False] * len(boxes), dtype=torch.bool),
    )


def _random_boxes(random: np.random.Generator, count: int) -> Tensor:
    low = random.uniform(0, 100, (count, 2))
    return torch.from_numpy(np.concatenate([low, low + random.uniform(5, 80, (count, 2))], axis=1).astype(np.float32))


def _anchors_by_loops(found: Truth, anchors: Tensor) -> list[int]:
    iou = box_iou(found.boxes.numpy(), anchors.numpy())
    labels = []
    for j in range(len(anchors)):
        i = int(iou[:, j].argmax())
        if iou[i, j] >= 0.7 or any(iou[k, j] == max(iou[k]) > 0 for k in range(len(iou))):
            labels.append(NEITHER if found.ignore[i] else int(found.classes[i]))
        else:
            labels.append(0 if iou[i, j] < 0.3 else NEITHER)
    return labels


def test_anchors_are_matched_as_by_loops() -> None:
    """Many random boxes, some of them slivers: every kind of label occurs."""
    random = np.random.default_rng(0)
    for _ in range(5):
        boxes = _random_boxes(random, 6)
        found = Truth(boxes, torch.arange(1, 7), torch.tensor([False] * 5 + [True]))
        anchors = torch.cat([_random_boxes(random, 200), boxes + 2.0])

        labels, owner = match_anchors(found, anchors)

        assert labels.tolist() == _anchors_by_loops(found, anchors)
        assert set(labels.tolist()) >= {NEITHER, 0, 1, 2, 3, 4, 5}
        positive = labels > 0
        assert torch.equal(found.classes[owner[positive]], labels[positive])


@pytest.mark.parametrize(
    ("width", "anchor_label", "roi_label"), [(72, 3, 3), (68, NEITHER, 3), (52, NEITHER, 3), (48, NEITHER, 0), (28, 0, 0)]
)
def test_thresholds_of_anchors_and_of_rois(width: float, anchor_label: int, roi_label: int) -> None:
    """A part of an object's width is its IoU: 0.7 and 0.3 for anchors, one of which is better; 0.5 for RoIs."""
    found = truth([[0, 0, 100, 10]], [3])
    boxes = torch.tensor([[0, 0, width, 10.0], [0, 0, 99, 10]])

    assert match_anchors(found, boxes).labels.tolist() == [anchor_label, 3]
    assert match_rois(found, boxes).labels.tolist() == [roi_label, 3]


def test_every_object_keeps_all_its_best_anchors() -> None:
    """Two that overlap it equally little; an object that no anchor touches gets none."""
    found = truth([[40, 0, 60, 20], [500, 500, 520, 520]], [2, 4])
    anchors = torch.tensor([[30.0, 0, 50, 20], [50, 0, 70, 20], [0, 0, 20, 20]])

    assert match_anchors(found, anchors).labels.tolist() == [2, 2, 0]


def test_a_sliver_is_neither_wanted_nor_punished() -> None:
    """What belongs to it does not count; what overlaps it too little is background."""
    found = truth([[0, 0, 100, 10], [200, 0, 300, 10]], [1, 2], [True, False])
    boxes = torch.tensor([[0.0, 0, 90, 10], [200, 0, 290, 10], [0, 0, 20, 10]])

    assert match_anchors(found, boxes).labels.tolist() == [NEITHER, 2, 0]
    assert match_rois(found, boxes).labels.tolist() == [NEITHER, 2, 0]


def test_without_objects_all_is_background() -> None:
    """No object, no positive."""
    assert match_anchors(truth([], []), torch.rand(3, 4)).labels.tolist() == [0, 0, 0]
    assert match_rois(truth([], []), torch.rand(3, 4)).labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("positives", "negatives", "chosen"), [(50, 50, (4, 12)), (2, 50, (2, 14)), (50, 3, (4, 3)), (0, 50, (0, 16)), (1, 0, (1, 0))]
)
def test_the_sample_is_filled_up_with_background(positives: int, negatives: int, chosen: tuple[int, int]) -> None:
    """At most a quarter positives, first; no index twice; what is neither is never chosen."""
    labels = torch.tensor([NEITHER, *[5] * positives, NEITHER, *[0] * negatives])

    index = sample(labels, 16, 4)

    assert labels[index].tolist() == [5] * chosen[0] + [0] * chosen[1]
    assert len(index.unique()) == len(index)


def test_the_sample_is_drawn_by_chance() -> None:
    """Over many draws every box gets its turn."""
    torch.manual_seed(0)
    labels = torch.tensor([1] * 8 + [0] * 8)

    drawn = torch.cat([sample(labels, 4, 2) for _ in range(100)])

    counts = torch.bincount(drawn, minlength=16)
    assert counts.min() > 10
    assert counts.sum() == 400


@pytest.mark.parametrize("weights", [RPN_WEIGHTS, ROI_WEIGHTS])
def test_encoding_is_the_inverse_of_the_nets_decoding(weights: tuple[float, float]) -> None:
    """Any box comes back; a box's own offsets are zero."""
    random = np.random.default_rng(1)
    boxes, references = _random_boxes(random, 100), _random_boxes(random, 100)

    torch.testing.assert_close(decode(encode(boxes, references, weights), references, weights), boxes, atol=1e-3, rtol=1e-5)
    assert encode(boxes, boxes, weights).abs().max() < 1e-5


def test_offsets_by_hand() -> None:
    """A quarter of the width to the right, half as high: tenths and fifths for the head."""
    box, reference = torch.tensor([[30.0, 25, 70, 75]]), torch.tensor([[20.0, 0, 60, 100]])

    found = encode(box, reference, ROI_WEIGHTS)

    torch.testing.assert_close(found, torch.tensor([[2.5, 0, 0, 5 * np.log(0.5)]], dtype=torch.float32))
