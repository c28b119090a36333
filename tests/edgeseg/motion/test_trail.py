"""Motions composed since an anchor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgeseg.motion import Motion, MotionEstimator, Trail
from edgeseg.motion.flows import composed
from edgeseg.motion.picture import Picture
from edgeseg.motion.trail import WAITING_MAX
from edgeseg.types import Frame


@pytest.fixture
def motions(texture, warped):
    """``motions(count)``: the motions of a picture that drifts to the right and turns a little."""

    def make(count: int, seed: int = 0) -> list[Motion]:
        whole, estimator = texture(seed), MotionEstimator()
        found = []
        for step in range(count + 1):
            angle = 0.004 * step
            matrix = [[np.cos(angle), -np.sin(angle), 2 * step], [np.sin(angle), np.cos(angle), 0]]
            found.append(estimator.update(Frame(warped(whole, matrix))))
        return found[1:]

    return make


def trail_of(motions):
    """A trail along them."""
    trail = Trail()
    for motion in motions:
        trail.add(motion)
    return trail


def test_empty_trail_is_the_anchor_itself():
    """Nothing has moved, all is explained, and there is no flow to ask for."""
    trail = Trail()

    assert (len(trail), trail.shift, trail.unexplained, trail.lost) == (0, 0.0, 0.0, False)
    with pytest.raises(ValueError, match="empty trail"):
        _ = trail.backward


def test_trail_composes_its_motions(motions):
    """The way back is followed motion by motion, newest first."""
    steps = motions(3)

    trail = trail_of(steps)

    expected = composed(steps[2].backward, composed(steps[1].backward, steps[0].backward))
    np.testing.assert_allclose(trail.backward, expected, atol=1e-4)
    assert len(trail) == trail.whole.frames == 3
    assert trail.whole.older is steps[0].older
    assert trail.whole.newer is steps[2].newer
    assert trail.shift > 2 * steps[0].shift


def test_trails_with_other_anchors_share_motions(motions):
    """Two trails fed by the same motions tell of their own anchors, and leave the motions as they were."""
    steps = motions(4)
    kept = [step.backward.copy() for step in steps]

    whole, half = trail_of(steps), trail_of(steps[2:])

    assert (len(whole), len(half)) == (4, 2)
    np.testing.assert_allclose(half.backward, composed(steps[3].backward, steps[2].backward), atol=1e-4)
    assert whole.shift > half.shift
    for step, backward in zip(steps, kept, strict=True):
        np.testing.assert_array_equal(step.backward, backward)


def test_most_cells_of_a_moving_picture_are_reliable(motions):
    """The way to the anchor and back returns, but for what came in at the edge."""
    trail = trail_of(motions(3))

    assert trail.reliable.shape == trail.backward.shape[:2]
    assert trail.reliable.dtype == bool
    assert 0.8 < trail.reliable.mean() < 1


def test_repeated_frames_add_nothing(texture):
    """A picture that stays the same neither shifts nor becomes new, however often it comes."""
    estimator, trail = MotionEstimator(), Trail()
    for _ in range(20):
        motion = estimator.update(Frame(texture()))
        if motion is not None:
            trail.add(motion)

    assert (len(trail), trail.lost) == (19, False)
    assert trail.shift < 1e-3
    assert trail.unexplained == 0


def test_scene_cut_is_seen_and_stays(texture):
    """After a cut the trail is lost for good, and nearly nothing is explained."""
    estimator, trail = MotionEstimator(), Trail()
    estimator.update(Frame(texture(0)))
    lost = []
    for seed in (0, 1, 1, 1):
        trail.add(estimator.update(Frame(texture(seed))))
        lost.append(trail.lost)

    assert lost == [False, True, True, True]
    assert trail.unexplained > 0.75


def test_black_frames_are_survived(texture):
    """While the picture is black nothing of the anchor is seen; when it returns all is where it was."""
    estimator, trail = MotionEstimator(), Trail()
    black = np.zeros_like(texture())
    estimator.update(Frame(texture()))
    lost, unexplained = [], []
    for pixels in (texture(), black, black, texture(), texture()):
        trail.add(estimator.update(Frame(pixels)))
        lost.append(trail.lost)
        unexplained.append(trail.unexplained)

    assert lost == [False, True, True, False, False]
    np.testing.assert_allclose(unexplained, [0, 1, 1, 0, 0], atol=0.05)
    assert trail.shift < 1e-3


def test_frames_of_another_size_cannot_follow(motions, texture):
    """A trail stays within frames of one size."""
    trail = trail_of(motions(1))
    small = Picture.of(texture(0, (90, 160)))
    hw = small.grid.shape
    with pytest.raises(ValueError, match="cannot go on"):
        trail.add(Motion(np.zeros((*hw, 2), np.float32), small, small, trail.whole.flow))


def test_instances_are_followed_the_same_whenever_they_are_asked_for(motions, make_found):
    """Asking in every frame, or once at the end, gives the same poses."""
    found, steps = make_found([(60, 40, 120, 110)]), motions(5)
    often, once = Trail(), trail_of(steps)
    for step in steps:
        often.add(step)
        often.align(found)

    np.testing.assert_allclose(often.align(found).poses, once.align(found).poses, atol=1e-9)
    assert often.align(found) is often.align(found)


def test_catching_up_is_the_same_in_small_parts(motions, make_found):
    """It says when the newest frame is reached, and the poses are those that are found at once."""
    steps, found = motions(5), make_found([(60, 40, 120, 110)])
    at_once, in_parts = trail_of(steps), trail_of(steps)

    assert [in_parts.catch_up(found, 2) for _ in range(4)] == [False, False, True, True]
    np.testing.assert_array_equal(in_parts.align(found).poses, at_once.align(found).poses)


def test_two_findings_are_followed_along_one_trail(motions, make_found):
    """What is asked for one does not disturb the other."""
    first, second, steps = make_found([(60, 40, 120, 110)]), make_found([(150, 60, 200, 120)]), motions(4)
    trail = Trail()
    for step in steps:
        trail.add(step)
        trail.align(first)
        trail.align(second)

    for found in (first, second):
        np.testing.assert_allclose(trail.align(found).poses, trail_of(steps).align(found).poses, atol=1e-9)


def test_what_is_asked_for_late_is_looked_for_at_once(motions, make_found):
    """Frames before the first question are not kept for a second finding: it is led along the whole flow, and still found."""
    first, second, steps = make_found([(60, 40, 120, 110)]), make_found([(150, 60, 200, 120)]), motions(3)
    trail = Trail()
    for step in steps:
        trail.add(step)
        trail.align(first)

    late, early = trail.align(second).poses, trail_of(steps).align(second).poses

    np.testing.assert_allclose(late, early, atol=1.0)


def test_a_long_trail_stays_small(motions, make_found):
    """However long nobody asks, no more than so many motions are kept; they still lead to where the instances are."""
    there = motions(10)
    found, trail = make_found([(60, 40, 120, 110)]), Trail()
    pictures, flow = [there[0].older, *(step.newer for step in there)], there[0].flow
    order = [min(k % 20, 20 - k % 20) for k in range(8 * WAITING_MAX + 1)]
    for before, now in itertools.pairwise(order):
        trail.add(Motion(flow(pictures[now].grid, pictures[before].grid), pictures[now], pictures[before], flow))

    assert len(trail._waiting) <= WAITING_MAX
    assert sum(motion.frames for motion in trail._waiting) == len(trail) == 8 * WAITING_MAX
    matrix = trail.align(found).back[0]
    angle, shift = 0.004 * order[-1], 2 * order[-1]
    there_xy = np.array([90 + shift, 75.0])
    expected = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ (there_xy - [shift, 0])
    np.testing.assert_allclose(matrix[:, :2] @ there_xy + matrix[:, 2], expected, atol=3)


def test_what_was_made_once_is_kept(motions):
    """Something made of what was found in the anchor is made once, and told apart by identity."""
    trail, made = trail_of(motions(1)), []
    first, second = [1], [1]

    for source in (first, second, first):
        trail.once(source, lambda: made.append(None) or len(made))

    assert len(made) == 2
    assert trail.once(second, lambda: 99) == 2
