"""Agreement of two forms of a model, on cases that are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.evaluation.agreement import Agreement, mask_ious
from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.types import Instances

HW = (20, 30)
Row = tuple[float, int, tuple[int, int, int, int]]
"""Score, class, and the box that the mask fills; a box without pixels is an empty mask."""
LEFT, RIGHT, NONE = (0, 0, 10, 10), (15, 0, 25, 10), (5, 5, 5, 5)


def _instances(*rows: Row) -> Instances:
    boxes = np.array([row[2] for row in rows], np.float32).reshape(-1, 4)
    masks = tuple(SoftMask(np.ones((1, 1), np.float32), (*row[2][:2], row[2][2] + 1, row[2][3] + 1), row[2]) for row in rows)
    return Instances(
        boxes=boxes,
        scores=np.array([row[0] for row in rows], np.float32),
        classes=np.array([row[1] for row in rows], np.int64),
        masks=SoftMasks(masks, HW),
        track_ids=np.full(len(rows), -1),
        image_hw=HW,
    )


def _agreement(wanted: list[Row], found: list[Row], threshold: float = 0.3) -> Agreement:
    agreement = Agreement(threshold)
    agreement.add(_instances(*wanted), _instances(*found))
    return agreement


def _counts(agreement: Agreement) -> tuple[int, int, int, int]:
    return agreement.instances, agreement.matched, agreement.lost, agreement.extra


@pytest.mark.parametrize(
    ("wanted", "found", "counts"),
    [
        ([(0.9, 0, LEFT)], [(0.9, 0, LEFT)], (1, 1, 0, 0)),
        ([(0.9, 0, LEFT)], [], (1, 0, 1, 0)),
        ([], [(0.9, 0, LEFT)], (0, 0, 0, 1)),
        ([], [], (0, 0, 0, 0)),
        ([(0.9, 0, LEFT)], [(0.9, 0, RIGHT)], (1, 0, 1, 1)),
        ([(0.9, 0, LEFT)], [(0.9, 1, LEFT)], (1, 0, 1, 1)),
        # Half of the union is just enough; less is not: 100 pixels, of which 50 and 49 are left.
        ([(0.9, 0, LEFT)], [(0.9, 0, (0, 0, 10, 5))], (1, 1, 0, 0)),
        ([(0.9, 0, (0, 0, 10, 10))], [(0.9, 0, (0, 0, 7, 7))], (1, 0, 1, 1)),
        # An instance has one counterpart only.
        ([(0.9, 0, LEFT)], [(0.9, 0, LEFT), (0.8, 0, LEFT)], (1, 1, 0, 1)),
        ([(0.9, 0, LEFT), (0.8, 0, LEFT)], [(0.9, 0, LEFT)], (2, 1, 1, 0)),
        # Two empty masks are the same instance.
        ([(0.9, 0, NONE)], [(0.9, 0, NONE)], (1, 1, 0, 0)),
        ([(0.9, 0, NONE)], [(0.9, 0, LEFT)], (1, 0, 1, 1)),
    ],
)
def test_what_is_lost_and_what_is_extra(wanted: list[Row], found: list[Row], counts: tuple[int, int, int, int]) -> None:
    """By class and mask, one to one."""
    assert _counts(_agreement(wanted, found)) == counts


@pytest.mark.parametrize(
    ("wanted", "found", "counts"),
    [
        (0.301, 0.299, (1, 1, 0, 0)),
        (0.299, 0.301, (0, 0, 0, 0)),
        (0.301, 0.151, (1, 1, 0, 0)),
        (0.301, 0.149, (1, 0, 1, 0)),
        (0.151, 0.301, (0, 0, 0, 0)),
        (0.149, 0.301, (0, 0, 0, 1)),
        (0.9, 0.149, (1, 0, 1, 0)),
        (0.299, 0.298, (0, 0, 0, 0)),
    ],
)
def test_an_instance_is_lost_only_below_half_the_threshold(wanted: float, found: float, counts: tuple[int, int, int, int]) -> None:
    """A score that crosses the threshold a little is no loss and no extra instance; whatever else the caller hands over."""
    assert _counts(_agreement([(wanted, 0, LEFT)], [(found, 0, LEFT)])) == counts


def test_errors_are_those_of_matched_instances_above_the_threshold() -> None:
    """Largest and mean of scores and masks, and of box corners; a weak instance counts for nothing."""
    wanted: list[Row] = [(0.9, 0, LEFT), (0.8, 1, RIGHT), (0.2, 0, (0, 12, 8, 20))]
    found: list[Row] = [(0.8, 0, (0, 0, 10, 8)), (0.78, 1, RIGHT), (0.6, 0, (0, 12, 8, 19))]

    agreement = _agreement(wanted, found)

    assert _counts(agreement) == (2, 2, 0, 0)
    assert agreement.max_score_error == pytest.approx(0.1, abs=1e-6)
    assert agreement.mean_score_error == pytest.approx(0.06, abs=1e-6)
    assert agreement.max_box_error_px == 2
    assert agreement.min_mask_iou == pytest.approx(0.8)
    assert agreement.mean_mask_iou == pytest.approx(0.9)


def test_the_best_overlaps_are_paired_first() -> None:
    """An instance does not take the counterpart of another one that fits better."""
    wanted: list[Row] = [(0.9, 0, (0, 0, 10, 10)), (0.8, 0, (2, 0, 12, 10))]
    found: list[Row] = [(0.9, 0, (2, 0, 12, 10)), (0.8, 0, (0, 0, 9, 10))]

    agreement = _agreement(wanted, found)

    assert _counts(agreement) == (2, 2, 0, 0)
    assert agreement.min_mask_iou == pytest.approx(0.9)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_does_not_matter(seed: int) -> None:
    """Of instances whose masks differ, on either side."""
    random = np.random.default_rng(seed)
    wanted: list[Row] = [(0.9 - 0.1 * i, i % 2, (4 * i, 2 * i, 4 * i + 8, 2 * i + 9)) for i in range(5)]
    found: list[Row] = [(score - 0.05, kind, (x1, y1, x2, y2 - 1)) for score, kind, (x1, y1, x2, y2) in wanted[1:]]
    expected = _agreement(wanted, found)

    mixed = _agreement([wanted[i] for i in random.permutation(5)], [found[i] for i in random.permutation(4)])

    assert _counts(expected) == (5, 4, 1, 0)
    assert vars(mixed) == pytest.approx(vars(expected))


def test_pictures_add_up() -> None:
    """Counts are sums, the largest error is the largest of all."""
    agreement = Agreement(0.3)
    agreement.add(_instances((0.9, 0, LEFT)), _instances((0.7, 0, LEFT)))
    agreement.add(_instances((0.9, 0, LEFT), (0.8, 0, RIGHT)), _instances((0.85, 0, LEFT)))
    agreement.add(_instances(), _instances((0.5, 0, LEFT)))

    assert agreement.pictures == 3
    assert _counts(agreement) == (3, 2, 1, 1)
    assert agreement.max_score_error == pytest.approx(0.2, abs=1e-6)
    assert agreement.mean_score_error == pytest.approx(0.125, abs=1e-6)


def test_nothing_to_compare_is_no_error() -> None:
    """The means of no instances are those of a perfect match."""
    agreement = _agreement([], [])

    assert (agreement.mean_mask_iou, agreement.mean_score_error, agreement.min_mask_iou) == (1.0, 0.0, 1.0)


def test_mask_ious_are_those_of_a_loop_over_pixels() -> None:
    """0 between classes, 1 between two empty masks."""
    random = np.random.default_rng(0)

    def made_up(n: int) -> Instances:
        corners = [(x, y, x + w, y + h) for x, y, w, h in random.integers(0, 10, (n, 4)).tolist()]
        return _instances(*[(0.9, int(random.integers(2)), box) for box in corners], (0.8, 0, NONE))

    a, b = made_up(6), made_up(5)
    expected = np.zeros((7, 6))
    for i, k in np.ndindex(expected.shape):
        common = union = 0
        for p, q in zip(a.masks.paste(i).ravel().tolist(), b.masks.paste(k).ravel().tolist(), strict=True):
            common += p and q
            union += p or q
        if a.classes[i] == b.classes[k]:
            expected[i, k] = common / union if union else 1

    np.testing.assert_allclose(mask_ious(a, b), expected, rtol=1e-12)
    assert (expected > 0).sum() > 5
    assert mask_ious(a, _instances()).shape == (7, 0)
