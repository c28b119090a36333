"""The parts of the training loss against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.ops import boxes as reference
from export.nets.yolact import YolactRaw
from export.training.loss import Target, box_iou, class_loss, encode, mask_loss, match, semantic_loss, yolact_loss

# Centre and size of four priors: two on the left that overlap, one on the right, one tiny in a corner.
PRIORS = torch.tensor([[0.25, 0.5, 0.4, 0.4], [0.3, 0.5, 0.4, 0.4], [0.75, 0.5, 0.4, 0.4], [0.95, 0.95, 0.02, 0.02]])
LEFT, RIGHT = [0.05, 0.3, 0.45, 0.7], [0.55, 0.3, 0.95, 0.7]
"""The boxes of the first and the third prior."""


def _target(boxes: list[list[float]], classes: list[int], ignore: list[bool] | None = None, cells: int = 8) -> Target:
    count = len(boxes)
    return Target(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(classes, dtype=torch.int64),
        torch.ones(count, cells, cells),
        torch.tensor(ignore or [False] * count, dtype=torch.bool),
    )


def test_iou_is_that_of_the_runtime() -> None:
    """The same numbers as the numpy reference."""
    random = np.random.default_rng(0)
    low = random.uniform(0, 1, (2, 20, 2))
    a, b = np.concatenate([low, low + random.uniform(0.1, 0.5, (2, 20, 2))], axis=2).astype(np.float32)

    np.testing.assert_allclose(box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy(), reference.box_iou(a, b), rtol=1e-5, atol=1e-7)


def test_priors_on_an_object_are_positive_and_those_apart_background() -> None:
    """IoU of 1 and of 0.78 with the left object, of 1 with the right one, of 0 with both."""
    labels, owner = match(_target([LEFT, RIGHT], [3, 5]), PRIORS)

    assert labels.tolist() == [3, 3, 5, 0]
    assert owner[:3].tolist() == [0, 0, 1]


@pytest.mark.parametrize(("overlap", "label"), [(0.55, 3), (0.45, -1), (0.35, 0)])
def test_between_the_thresholds_a_prior_is_neither(overlap: float, label: int) -> None:
    """Positive from 0.5, background below 0.4."""
    # A box of the same height that covers this fraction of the first prior and nothing else; the second prior is its favourite.
    box = [0.05, 0.3, 0.05 + 0.4 * overlap, 0.7]
    favourite = torch.tensor([[0.05 + 0.2 * overlap, 0.5, 0.4 * overlap, 0.4]])

    labels, _ = match(_target([box], [3]), torch.cat([PRIORS[:1], favourite]))

    assert labels.tolist() == [label, 3]


def test_every_object_keeps_its_best_prior() -> None:
    """However small their overlap; and an object's favourite is not taken by a larger overlap of another."""
    labels, owner = match(_target([[0.9, 0.9, 1.0, 1.0]], [4]), PRIORS)
    assert labels.tolist() == [0, 0, 0, 4]

    labels, owner = match(_target([LEFT, [0.2, 0.45, 0.3, 0.55]], [1, 2]), PRIORS[:1])
    assert (labels.tolist(), owner.tolist()) == ([2], [1])


def test_a_sliver_is_neither_wanted_nor_punished() -> None:
    """Its priors count as nothing."""
    labels, _ = match(_target([LEFT, RIGHT], [3, 5], [True, False]), PRIORS)

    assert labels.tolist() == [-1, -1, 5, 0]


def test_a_picture_without_objects_is_all_background() -> None:
    """No object, no positive."""
    labels, owner = match(_target([], []), PRIORS)

    assert (labels.tolist(), owner.tolist()) == ([0] * 4, [0] * 4)


def test_encoding_is_the_inverse_of_the_runtimes_decoding() -> None:
    """Targets of a prior's own box are zero; any box comes back from its targets."""
    random = np.random.default_rng(0)
    low = random.uniform(-0.2, 0.8, (100, 2))
    boxes = np.concatenate([low, low + random.uniform(0.02, 0.9, (100, 2))], axis=1).astype(np.float32)
    priors = random.uniform(0.05, 0.9, (100, 4)).astype(np.float32)

    offsets = encode(torch.from_numpy(boxes), torch.from_numpy(priors)).numpy()

    np.testing.assert_allclose(reference.decode_boxes(offsets, priors), boxes, atol=1e-5)
    np.testing.assert_allclose(encode(torch.tensor([LEFT]), PRIORS[:1]).numpy(), np.zeros((1, 4)), atol=1e-5)


def _entropy(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def test_the_class_loss_takes_positives_and_the_hardest_negatives() -> None:
    """Three negatives a positive, but sixteen at least; neither-nor rows never count."""
    positives = [[0.0, 2.0]] * 6
    negatives = [[0.0, 0.1 * i] for i in range(30)]
    neither = [[0.0, 50.0]] * 5
    labels = torch.tensor([1] * 6 + [0] * 30 + [-1] * 5)

    loss = class_loss(torch.tensor(positives + negatives + neither), labels)

    hardest = negatives[-18:]
    assert loss.item() == pytest.approx(6 * _entropy([0, 2], 1) + sum(_entropy(row, 0) for row in hardest), rel=1e-5)


@pytest.mark.parametrize("count", [3, 40])
def test_without_positives_the_class_loss_still_punishes_false_alarms(count: int) -> None:
    """Sixteen negatives, or as many as there are."""
    loss = class_loss(torch.zeros(count, 2), torch.zeros(count, dtype=torch.int64))

    assert loss.item() == pytest.approx(min(count, 16) * math.log(2), rel=1e-5)


def test_the_mask_loss_is_the_mean_entropy_inside_the_box() -> None:
    """Cells within the box plus one count, all others do not, whatever they hold."""
    target = _target([[0.25, 0.25, 0.5, 0.5]], [1])
    proto = torch.full((8, 8, 1), -100.0)
    # Cells 2 and 3 are the box; 1 and 4 its border.
    proto[1:5, 1:5] = 2.0

    loss = mask_loss(proto, torch.ones(1, 1), torch.tensor([0]), target)

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_the_semantic_loss_compares_every_class_everywhere() -> None:
    """A map of zeros costs log 2 a class; the right one costs nothing; slivers and holes of a half do not count as there."""
    target = _target([LEFT, RIGHT], [1, 2])
    target.masks[0, :, 4:] = 0
    target.masks[1] = 0.5
    right = torch.full((3, 4, 4), -30.0)
    right[0, :, :2] = 30

    assert semantic_loss(torch.zeros(3, 4, 4), target).item() == pytest.approx(3 * math.log(2), rel=1e-5)
    assert semantic_loss(right, target).item() == pytest.approx(0, abs=1e-6)
    assert semantic_loss(torch.full((3, 4, 4), -30.0), _target([], [])).item() == pytest.approx(0, abs=1e-6)


def _raw(loc: Tensor, logits: Tensor) -> YolactRaw:
    batch, count = loc.shape[:2]
    return YolactRaw(loc, logits, torch.ones(batch, count, 1), torch.full((batch, 8, 8, 1), 30.0))


def test_a_perfect_answer_costs_nothing() -> None:
    """All four terms, for a picture with objects beside one without."""
    targets = [_target([LEFT, RIGHT], [1, 2]), _target([], [])]
    labels, owner = match(targets[0], PRIORS)
    loc = torch.zeros(2, 4, 4)
    loc[0, :3] = encode(targets[0].boxes[owner[:3]], PRIORS[:3])
    logits = torch.nn.functional.one_hot(torch.stack([labels, torch.zeros(4, dtype=torch.int64)]), 3).float() * 60
    semantic = torch.full((2, 2, 8, 8), -30.0)
    semantic[0] = 30

    losses = yolact_loss(_raw(loc, logits), semantic, targets, PRIORS)

    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {"class": 0, "box": 0, "mask": 0, "semantic": 0}, abs=1e-5
    )


def test_each_term_sees_its_own_mistake_only() -> None:
    """A wrong box raises the box term by its smooth L1 per positive, and nothing else."""
    target = _target([LEFT], [1])
    logits = torch.tensor([[[0.0, 60, 0], [0, 60, 0], [60, 0, 0], [60, 0, 0]]])
    semantic = torch.full((1, 2, 8, 8), -30.0)
    semantic[0, 0] = 30
    loc = torch.zeros(1, 4, 4)
    loc[0, :2] = encode(target.boxes[[0, 0]], PRIORS[:2])
    loc[0, 0, 0] += 3
    loc[0, 3] = 99

    losses = yolact_loss(_raw(loc, logits), semantic, [target], PRIORS)

    # Smooth L1 of 3 is 2.5, over two positives, times the weight of 1.5.
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {"class": 0, "box": 1.5 * 2.5 / 2, "mask": 0, "semantic": 0}, abs=1e-5
    )


def test_a_batch_without_objects_has_finite_gradients() -> None:
    """Nothing is divided by zero."""
    raw = YolactRaw(*(torch.zeros(1, 4, k, requires_grad=True) for k in (4, 3, 1)), torch.zeros(1, 8, 8, 1, requires_grad=True))
    semantic = torch.zeros(1, 2, 8, 8, requires_grad=True)

    sum(yolact_loss(raw, semantic, [_target([], [])], PRIORS).values()).backward()

    assert raw.conf_logits.grad.abs().sum() > 0
    assert all(part.grad is None or part.grad.isfinite().all() for part in (*raw, semantic))
