"""Matching against loops over pixels and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.track.assignment import load_solver
from edgeseg.track.matching import Fit, Side, distance, extents_of, mask_iou, match, size_ratio
from edgeseg.track.settings import TrackerSettings


def side(boxes, classes=None, looks=None, extents=None):
    """One side of a matching on a grid of 40 x 60 cells of one pixel; every box is full, all look alike."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    drawn = np.zeros((len(boxes), 40, 60), np.float32)
    for mask, (x1, y1, x2, y2) in zip(drawn, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = 1
    return Side(
        classes=np.array(classes if classes is not None else [0] * len(boxes), np.int64),
        boxes=boxes,
        extents=extents_of(boxes) if extents is None else np.array(extents, np.float32),
        drawn=drawn.reshape(len(boxes), 2400),
        looks=np.ones((len(boxes), 1), np.float32) if looks is None else np.array(looks, np.float32),
    )


def pairs_of(tracks, found, unseen=None, strong=None):
    unseen = np.zeros(len(tracks.boxes), np.int64) if unseen is None else np.array(unseen)
    strong = np.ones(len(found.boxes), bool) if strong is None else np.array(strong)
    return match(Fit.of(tracks, found), unseen, strong, TrackerSettings(), load_solver())


def test_mask_iou_counts_cells():
    """One product gives what counting cells pair by pair gives; two empty masks have 0."""
    rng = np.random.default_rng(1)
    a, b = rng.random((5, 30)) < 0.4, rng.random((4, 30)) < 0.6
    a[2] = b[1] = False
    expected = [[(p & q).sum() / max((p | q).sum(), 1) for q in b] for p in a]

    np.testing.assert_allclose(mask_iou(a.astype(np.float32), b.astype(np.float32)), expected, rtol=1e-6)


def test_distance_and_size_ratio_by_hand():
    """Distances are between the middles and in units of the larger extent."""
    a, b = side([(0, 0, 10, 10)]), side([(20, 0, 40, 20), (0, 0, 10, 10)])

    np.testing.assert_allclose(distance(a, b), [[np.hypot(25, 5) / 20, 0]], rtol=1e-6)
    np.testing.assert_allclose(size_ratio(a, b), [[0.5, 1]])


def test_boxes_without_area_have_an_extent():
    """A box of no or negative size counts as one pixel, so that nothing is divided by zero."""
    np.testing.assert_allclose(extents_of(np.array([[5, 5, 5, 5], [9, 9, 3, 3], [0, 0, 4, 9]], np.float32)), [1, 1, 6])


CASES = {
    "each goes on in place": ([(0, 0, 10, 10), (30, 0, 40, 10)], [(31, 0, 41, 10), (1, 0, 11, 10)], {}, {0: 1, 1: 0}),
    "nothing overlaps and all is far": ([(0, 0, 10, 10)], [(45, 25, 55, 35)], {}, {}),
    "another class is another object": ([(0, 0, 10, 10)], [(0, 0, 10, 10)], {"classes": [1]}, {}),
    "no tracks": ([], [(0, 0, 10, 10)], {}, {}),
    "no instances": ([(0, 0, 10, 10)], [], {}, {}),
}


@pytest.mark.parametrize(("tracks", "found", "extra", "expected"), CASES.values(), ids=CASES.keys())
def test_pairs_by_hand(tracks, found, extra, expected):
    """Tracks go on in the instances that lie where they are expected."""
    assert pairs_of(side(tracks), side(found, **extra)) == expected


def test_strong_instances_choose_first():
    """A weak instance that fits better does not take a track from a strong one that fits, but takes one that is free."""
    tracks = side([(0, 0, 20, 20), (0, 20, 20, 40)])
    found = side([(2, 0, 22, 20), (0, 0, 20, 20), (1, 20, 21, 40)])

    assert pairs_of(tracks, found, strong=[True, False, False]) == {0: 0, 1: 2}


def test_looks_decide_between_equal_places():
    """Of two instances equally far from a track, the one of its colours is its next appearance."""
    tracks = side([(10, 10, 30, 30)], looks=[[1, 0]])
    found = side([(7, 10, 27, 30), (13, 10, 33, 30)], looks=[[0, 1], [1, 0]])

    assert pairs_of(tracks, found) == {0: 1}


@pytest.mark.parametrize(
    ("unseen", "box", "look", "strong", "back"),
    [
        (0, (14, 0, 24, 10), [1, 0], True, False),
        (10, (14, 0, 24, 10), [1, 0], True, True),
        (10, (14, 0, 24, 10), [1, 0], False, False),
        (10, (14, 0, 24, 10), [0, 1], True, False),
        (10, (14, 0, 44, 30), [1, 0], True, False),
        (10, (45, 30, 55, 40), [1, 0], True, False),
    ],
    ids=["too far for just lost", "in reach", "weak", "other colours", "far larger", "out of reach"],
)
def test_tracks_come_back_near_by_and_looking_alike(unseen, box, look, strong, back):
    """A track out of sight goes on in a strong instance of its colours and size, in a reach that grows with time."""
    tracks = side([(0, 0, 10, 10)], looks=[[1, 0]])
    found = side([box], looks=[look])

    assert pairs_of(tracks, found, [unseen], [strong]) == ({0: 0} if back else {})


def test_partly_hidden_object_is_as_large_as_it_was():
    """What comes out from behind something begins as a strip; the track knows how large the whole is."""
    tracks, found = side([(0, 0, 3, 20)], extents=[20]), side([(10, 0, 17, 20)])

    assert pairs_of(tracks, found, [9]) == {0: 0}
