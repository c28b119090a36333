"""Panoptic maps moved from an anchor to a later frame."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion import MotionEstimator, Trail, propagate_panoptic
from edgeseg.motion.panoptic import _along, _grown, followed_things
from edgeseg.motion.propagate import DECAY
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import Panoptic, Segment

HW = (180, 320)


@pytest.fixture
def trail_through(make_frames):
    """``trail_through(pictures)``: a trail from the first picture to the last."""

    def make(pictures) -> Trail:
        estimator, trail = MotionEstimator(), Trail()
        for frame in make_frames(pictures):
            motion = estimator.update(frame)
            if motion is not None:
                trail.add(motion)
        return trail

    return make


def panoptic(ids: np.ndarray, things=()) -> Panoptic:
    """A map with its segments; numbers in ``things`` are things, 0 is void."""
    numbers = [number for number in np.unique(ids).tolist() if number]
    segments = (Segment(n, n % 5, n in things, 0.5 + n / 1000, int((ids == n).sum()), track_id=n + 40) for n in numbers)
    return Panoptic(ids.astype(np.int32), tuple(segments))


def layout() -> np.ndarray:
    """Sky over sea, a strip of void, and two things."""
    ids = np.ones(HW, np.int32)
    ids[100:] = 2
    ids[:, 300:] = 0
    ids[60:120, 60:110] = 1001
    ids[30:70, 180:230] = 1002
    return ids


def test_empty_trail_returns_its_input():
    """The anchor itself."""
    before = panoptic(layout(), {1001, 1002})

    assert propagate_panoptic(before, Trail()) is before


def test_a_still_picture_keeps_its_map(trail_through, texture):
    """Nearly every pixel keeps its number; segments keep all but their areas, and things a little of their scores."""
    before = panoptic(layout(), {1001, 1002})

    after = propagate_panoptic(before, trail_through([texture()] * 3))

    assert (after.ids == before.ids).mean() > 0.995
    kept = [vars(s) | {"area": 0, "score": 0} for s in after.segments]
    assert kept == [vars(before.segments[i]) | {"area": 0, "score": 0} for i in (3, 2, 0, 1)]
    for segment, i in zip(after.segments, (3, 2, 0, 1), strict=True):
        decay = DECAY**2 if segment.is_thing else 1
        assert 0.98 * decay * before.segments[i].score < segment.score <= decay * before.segments[i].score * (1 + 1e-6)
    for segment in after.segments:
        assert segment.area == (after.ids == segment.id).sum()


def test_things_come_first_and_best_first(trail_through, texture):
    """In the order of their scores now; those that are not above the threshold leave their place to the ground."""
    before = panoptic(layout(), {1001, 1002})
    trail = trail_through([texture()] * 2)

    assert [s.id for s in propagate_panoptic(before, trail).segments] == [1002, 1001, 1, 2]
    assert [s.id for s in propagate_panoptic(before, trail, 1.5).segments] == [1, 2]
    assert 1001 not in propagate_panoptic(before, trail, 1.5).ids


def test_a_part_of_the_way_can_be_done_beforehand(trail_through, texture, warped, monkeypatch):
    """What was caught up is not followed again, and the result is the same."""
    before = panoptic(layout(), {1001, 1002})
    pictures = [warped(texture(), [[1, 0, 4 * k], [0, 1, 0]]) for k in range(5)]
    straight = propagate_panoptic(before, trail_through(pictures))

    trail = trail_through(pictures)
    assert [trail.catch_up(followed_things(before, trail), 3) for _ in range(2)] == [False, True]
    monkeypatch.setattr("edgeseg.motion.align.Alignment.advance", None)
    parted = propagate_panoptic(before, trail)

    assert np.array_equal(parted.ids, straight.ids)
    assert parted.segments == straight.segments


def test_a_panning_picture_takes_its_map_along(trail_through, texture, warped):
    """All moves together; at the edge from which the picture came in, the map goes on as it was there."""
    before = panoptic(layout(), {1001, 1002})

    after = propagate_panoptic(before, trail_through([warped(texture(), [[1, 0, 4 * k], [0, 1, 0]]) for k in range(5)]))

    expected = np.roll(before.ids, 16, axis=1)
    expected[:, :16] = before.ids[:, :1]
    assert (after.ids == expected).mean() > 0.97


def test_where_a_thing_leaves_the_ground_grows(trail_through, texture, pasted):
    """A disc that crosses the sky leaves sky behind it, and no copy of itself."""
    ids = np.ones(HW, np.int32)
    ids[140:] = 2
    disc = pasted(np.zeros((*HW, 3), np.uint8), np.full((*HW, 3), 1, np.uint8), (60, 40, 120, 100))[..., 0] > 0
    ids[disc] = 1001
    pictures = [pasted(texture(0), texture(1), (60 + 5 * k, 40, 120 + 5 * k, 100)) for k in range(9)]

    after = propagate_panoptic(panoptic(ids, {1001}), trail_through(pictures)).ids

    expected = np.roll(disc, 40, axis=1)
    assert ((after == 1001) & expected).sum() / ((after == 1001) | expected).sum() > 0.9
    assert (after[45:95, 62:95] == 1).all()


def test_what_vanished_is_left_out(trail_through, texture, warped, pasted):
    """A thing that is gone and a segment that left the picture have no pixels and no segment."""
    ids = np.ones(HW, np.int32)
    ids[:, 312:] = 3
    ids[pasted(np.zeros((*HW, 3), np.uint8), np.full((*HW, 3), 1, np.uint8), (60, 40, 120, 100))[..., 0] > 0] = 1001
    with_it = pasted(texture(0), 255 - texture(4), (60, 40, 120, 100))
    pictures = [with_it, *(warped(texture(0), [[1, 0, 3 * k], [0, 1, 0]]) for k in range(1, 6))]

    after = propagate_panoptic(panoptic(ids, {1001}), trail_through(pictures))

    assert [segment.id for segment in after.segments] == [1]
    assert set(np.unique(after.ids)) == {1}


def test_nothing_is_known_after_a_cut(trail_through, texture):
    """Another scene: the map is void."""
    after = propagate_panoptic(panoptic(layout(), {1001, 1002}), trail_through([texture(0), texture(5)]))

    assert not after.ids.any()
    assert after.segments == ()


def test_ground_grows_from_the_nearest_pixel():
    """Each gone pixel takes the number of the nearest that stays; all gone is void."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5, (12, 17)).astype(np.int32)
    gone = rng.random(ids.shape) < 0.6

    grown = _grown(ids, gone)

    stay = np.argwhere(~gone)
    np.testing.assert_array_equal(grown[~gone], ids[~gone])
    for row, column in np.argwhere(gone):
        # OpenCV's distance is a little off the true one, so the nearest few are all right.
        distance = np.hypot(*(stay - [row, column]).T)
        near = stay[distance <= distance.min() * 1.1 + 1e-6]
        assert grown[row, column] in ids[tuple(near.T)]
    assert not _grown(ids, np.ones_like(gone)).any()


def test_numbers_follow_the_flow_to_the_pixel():
    """A constant flow shifts a map by whole pixels; large numbers stay exact."""
    ids = np.random.default_rng(0).integers(0, 2**24, HW).astype(np.int32)
    backward = np.zeros((45, 80, 2), np.float32)
    backward[..., 0], backward[..., 1] = 0.5, -0.25

    moved = _along(ids, backward)

    expected = ids[np.clip(np.arange(HW[0]) - 1, 0, None)][:, np.clip(np.arange(HW[1]) + 2, None, HW[1] - 1)]
    np.testing.assert_array_equal(moved, expected)


def test_accuracy_on_synthetic_scenes(make_frames):
    """Over four frames of held-out scenes a moved map is right at far more pixels than one that stays."""
    right, still = [], []
    for seed in range(HELD_OUT_FIRST_SEED + 610, HELD_OUT_FIRST_SEED + 613):
        scene = Scene(SceneConfig(seed=seed))
        truths = scene.truth(20), scene.truth(24)
        maps = [np.where(truth.instance_ids > 0, truth.instance_ids + 1000, truth.stuff + 1) for truth in truths]
        estimator, trail = MotionEstimator(), Trail()
        for frame in make_frames([scene.render(20 + k) for k in range(5)]):
            motion = estimator.update(frame)
            if motion is not None:
                trail.add(motion)
        after = propagate_panoptic(panoptic(maps[0], set(range(1001, 1100))), trail)
        right.append((after.ids == maps[1]).mean())
        still.append((maps[0] == maps[1]).mean())

    assert np.mean(right) > 0.97
    assert 1 - np.mean(right) < 0.6 * (1 - np.mean(still))
