"""The plain panoptic head on pictures small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.ops.panoptic import VOID, Detections, SlotMap
from edgeseg.ops.panoptic.reference import in_box, mask_removal, object_channel, panoptic_head, pasted, renumbered, unify


def _detections(*rows: tuple[list[float], float, int, float]) -> Detections:
    """Boxes, scores, classes, and one logit for all of a mask."""
    boxes, scores, classes, logits = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int64),
        np.array([np.full((28, 28), value, np.float32) for value in logits]).reshape(-1, 28, 28),
    )


def test_a_mask_is_pasted_over_whole_pixels_of_its_box() -> None:
    """Corners are truncated and inclusive; both signs of the logits are kept; what lies beyond the picture is cut."""
    plane, mask = pasted(np.full((28, 28), -2, np.float32), np.array([1.9, 2.9, 3.9, 3.1], np.float32), (6, 5))
    beyond, _ = pasted(np.full((28, 28), 3, np.float32), np.array([3, -2, 9, 1], np.float32), (6, 5))

    wanted = np.zeros((6, 5))
    wanted[2:4, 1:4] = -2
    assert np.array_equal(plane, wanted)
    assert not mask.any()
    assert beyond.nonzero()[0].tolist() == [0, 0, 1, 1]
    assert beyond.nonzero()[1].tolist() == [3, 4, 3, 4]


@pytest.mark.parametrize("box", [(3, 3, 1, 1), (-9, 0, -3, 4), (0, 7, 4, 9), (9, 0, 12, 4)])
def test_a_box_without_a_pixel_has_an_empty_mask(box: tuple[int, ...]) -> None:
    """Inverted, or off any edge."""
    assert not pasted(np.ones((28, 28), np.float32), np.array(box, np.float32), (6, 5))[0].any()


def test_a_mask_that_kept_ones_of_its_class_cover_is_removed() -> None:
    """More than 0.3 of it; exactly that much, other classes and masks that are themselves removed do not matter."""
    kept, planes = mask_removal(
        _detections(
            ([0, 0, 9, 0], 0.9, 1, 1),
            ([7, 0, 16, 0], 0.8, 1, 1),  # 3 of 10
            ([6, 0, 9, 0], 0.75, 1, 1),  # all
            ([6, 0, 15, 0], 0.7, 2, 1),  # of another class
            ([16, 0, 18, 0], 0.65, 1, 1),  # 1 of 3
            ([18, 0, 19, 0], 0.6, 1, -1),  # no mask
            ([18, 0, 19, 0], 0.5, 1, 1),  # only over removed ones
        ),
        (1, 20),
    )

    assert kept.tolist() == [0, 1, 3, 6]
    assert [np.flatnonzero(plane[0]).tolist() for plane in planes] == [
        list(range(10)), list(range(7, 17)), list(range(6, 16)), [18, 19],
    ]  # fmt: skip


def test_of_equal_scores_the_last_goes_first() -> None:
    """However many there are."""
    kept, _ = mask_removal(_detections(*(([i, 0, i, 0], 0.7, 1, 1) for i in range(30))), (1, 30))

    assert kept.tolist() == list(range(29, -1, -1))


def test_if_all_are_removed_the_first_is_there_without_a_mask() -> None:
    """The first, not the best."""
    kept, planes = mask_removal(_detections(([0, 0, 1, 1], 0.6, 1, -1), ([0, 0, 1, 1], 0.9, 2, -1)), (2, 2))

    assert kept.tolist() == [0]
    assert not planes.any()


def test_semantic_logits_end_at_rounded_corners() -> None:
    """Start truncated, end rounded, halves to even, and one more; 0 outside, and everywhere for class 0."""
    logits = np.arange(1, 21, dtype=np.float32)[None, None] * np.ones((2, 1, 1), np.float32)

    for x1, x2, first, last in ((1.9, 4.4, 1, 4), (1.9, 4.5, 1, 4), (1.9, 5.5, 1, 6), (-0.4, 30, 0, 19)):
        plane = in_box(logits, 1, np.array([x1, 0, x2, 0], np.float32), 1)
        assert np.flatnonzero(plane[0]).tolist() == list(range(first, last + 1))
    assert not in_box(logits, 1, np.array([0, 0, 9, 0], np.float32), 0).any()


def test_an_instance_wins_far_away_where_all_stuff_is_unlikely() -> None:
    """It counts 0 there, and the first of several zeros wins; 0 is not enough against stuff of 0."""
    logits = np.zeros((3, 1, 6), np.float32)
    logits[0, 0] = [-1, -1, -1, 0, 1, -1]
    logits[1:] = -9
    found = panoptic_head(logits, 1, _detections(([0, 0, 0, 0], 0.9, 1, 2), ([5, 0, 5, 0], 0.8, 2, 12)), void=False)

    # In its own box the first instance has -9 + 2: there the zero of the second wins.
    assert found.ids[0].tolist() == [2, 1, 1, 0, 0, 2]
    assert (found.classes.tolist(), found.kept.tolist()) == ([1, 2], [0, 1])


def test_without_a_detection_one_of_no_class_wins_where_stuff_is_unlikely() -> None:
    """It has the slot, and stands for nothing that was found."""
    found = panoptic_head(np.array([[[-1, 1]], [[-5, -5]]], np.float32), 1, _detections(), void=False)

    assert found.ids.tolist() == [[1, 0]]
    assert (found.classes.tolist(), found.kept.tolist()) == ([0], [])


def test_the_unknown_class_is_what_instances_leave_unexplained() -> None:
    """Things that the semantics see outside of every box; inside only what exceeds the instance's own class; ties lose."""
    logits = np.zeros((3, 1, 5), np.float32)
    logits[0, 0] = [1, 1, 1, 3, 1]
    logits[1, 0] = [3, 3, 3, 3, 1]
    logits[2, 0] = [0, 0, 9, 0, 0]
    found = panoptic_head(logits, 1, _detections(([1, 0, 2, 0], 0.9, 1, 2)), void=True)

    assert found.ids[0].tolist() == [VOID, 1, VOID, 0, 0]


def _voted() -> tuple[SlotMap, int]:
    """Four slots of things 1, 2, 1, 0 over three stuff classes; the third has no pixel."""
    ids = np.array([[3, 3, 3, 4, 4, 6], [0, 1, 1, 4, 4, VOID]], np.int32)
    semantic = np.array([[3, 0, 0, 1, 1, 3], [9, 9, 9, 3, 4, 9]], np.int32)
    return SlotMap(ids, np.array([1, 2, 1, 0]), np.array([0, 1, 2, 3]), semantic), 3


def test_the_semantics_vote_on_every_instance() -> None:
    """Two thirds of stuff take the first; half take the second; numbers count these too; small stuff falls after that."""
    found, stuff = _voted()

    classes, numbers = unify(found, stuff, 0)
    assert classes.tolist() == [[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, VOID]]
    assert numbers.tolist() == [[0, 0, 0, 0, 0, 3], [0, 0, 0, 0, 0, 0]]
    assert unify(found, stuff, 5)[0].tolist() == [[VOID, VOID, VOID, 1, 1, VOID], [VOID, 1, 1, 1, 1, VOID]]


@pytest.mark.parametrize(
    ("seen", "stays"),
    [
        ([3, 3, 0, 0], False),
        ([4, 4, 4, 4], True),
        ([0, 1, 3, 4], True),
        ([0, 0, 1, 3], False),
        ([0, 1, 2, 3, 3], True),
        ([4, 4, 0, 0, 3], True),
    ],
)
def test_only_stuff_with_half_of_the_region_takes_it(seen: list[int], stays: bool) -> None:
    """The lowest of equal labels is the most frequent; another thing changes nothing."""
    found = SlotMap(np.full((1, len(seen)), 3, np.int32), np.array([1]), np.array([0]), np.array([seen], np.int32))

    classes, numbers = unify(found, 3, 0)

    assert (classes == (3 if stays else 0)).all()
    assert (numbers == int(stays)).all()


def test_a_slot_without_a_pixel_shifts_ids_in_the_original() -> None:
    """The repaired form gives each slot its own; regions that became stuff are 0, stuff is its class."""
    ids = np.array([[2, 4, 5, 0, VOID]], np.int32)
    found = SlotMap(ids, np.array([1, 1, 1, 1]), np.arange(4), np.array([[2, 2, 1, 9, 9]], np.int32))

    assert object_channel(found, 2, np.array([10, 20, 30, 40]), faithful=False).tolist() == [[11, 31, 0, 0, VOID]]
    assert object_channel(found, 2, np.array([10, 20, 30, 40]), faithful=True).tolist() == [[11, 21, 0, 0, VOID]]


def test_large_numbers_wrap_in_the_original() -> None:
    """Ids from 255 on, which its bytes cannot hold."""
    found = SlotMap(np.array([[0, 1]], np.int32), np.array([1, 1]), np.arange(2), np.zeros((1, 2), np.int32))

    assert object_channel(found, 0, np.array([255, 300]), faithful=True).tolist() == [[0, 45]]
    assert object_channel(found, 0, np.array([255, 300]), faithful=False).tolist() == [[256, 301]]


def test_equal_ids_are_renumbered_from_the_last_on() -> None:
    """The first of them keeps its id."""
    assert renumbered(np.array([4, 7, 4, 7, 7, 1])).tolist() == [4, 7, 102, 101, 100, 1]
    assert renumbered(np.array([3, 2, 1])).tolist() == [3, 2, 1]
