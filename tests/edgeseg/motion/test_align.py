"""Poses found by alignment, against motions that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion import Motion, MotionEstimator
from edgeseg.motion.align import AREA_CHANGE_MAX, Alignment, inverse, square
from edgeseg.motion.picture import Picture
from edgeseg.types import Frame

BOXES = [(60, 40, 130, 110), (170, 70, 230, 130)]


def still(picture, other):
    """No flow between two pictures."""
    return np.zeros((*picture.shape, 2), np.float32)


def between(older, newer):
    """A motion whose flow knows nothing."""
    pictures = Picture.of(newer), Picture.of(older)
    return Motion(still(pictures[0].grid, None), *pictures, still)


def corner_error(back, matrix, box):
    """How far, in pixels, the corners of a moved box are led from where they were."""
    x1, y1, x2, y2 = box
    corners = np.array([[x1, x2, x2, x1], [y1, y1, y2, y2]], float)
    moved = matrix[:, :2] @ corners + matrix[:, 2:]
    return np.abs(back[:, :2] @ moved + back[:, 2:] - corners).max()


def about(box, angle=0.0, scale=1.0, shift=(0, 0)):
    """An affine matrix (2, 3) that turns and scales about a box's middle, then shifts."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.c_[turn, np.array([x, y]) - turn @ [x, y] + shift]


@pytest.mark.parametrize(
    "motion",
    [{}, {"shift": (3, -2)}, {"angle": 0.08}, {"scale": 1.06}, {"angle": -0.05, "scale": 0.96, "shift": (-2, 2)}],
    ids=["still", "shift", "turn", "grow", "all"],
)
def test_alignment_finds_a_known_motion(texture, warped, make_found, motion):
    """Within a frame or two of looking, corners are met to a fraction of a pixel, without any help of the flow."""
    older = texture(3)
    for box in BOXES:
        matrix = about(box, **motion)
        newer = warped(older, matrix)
        alignment = Alignment(make_found([box]), Picture.of(older))
        for _ in range(3):
            alignment.advance(between(older, newer))

        assert corner_error(alignment.back[0], matrix, box) < 0.5


def test_alignment_follows_without_drift(texture, warped, make_found, make_frames):
    """After 20 frames of shift, turn and growth each pose is still within a pixel: it is matched with the anchor, not added up."""
    older, box = texture(3), BOXES[0]
    estimator, alignment = MotionEstimator(), Alignment(make_found([box]), Picture.of(older))
    estimator.update(Frame(older))
    for step in range(1, 21):
        matrix = about(box, angle=0.02 * step, scale=1 + 0.01 * step, shift=(3 * step, step))
        alignment.advance(estimator.update(make_frames([warped(older, matrix)])[0]))
        assert corner_error(alignment.back[0], matrix, box) < 1.0


def test_instances_do_not_disturb_each_other(texture, warped, make_found):
    """Two that move apart have the poses that each has alone."""
    older = texture(3)
    newer = warped(older, about(BOXES[0], angle=0.05))
    both = Alignment(make_found(BOXES), Picture.of(older))
    both.advance(between(older, newer))

    for i, box in enumerate(BOXES):
        alone = Alignment(make_found([box]), Picture.of(older))
        alone.advance(between(older, newer))
        np.testing.assert_allclose(both.poses[i], alone.poses[0], atol=1e-3)


def test_what_covers_a_part_does_not_pull(texture, warped, make_found):
    """With a third of the box under something else the rest is still met: points that do not fit lose their weight."""
    older, box = texture(3), BOXES[0]
    matrix = about(box, angle=0.03, shift=(2, 1))
    newer = warped(older, matrix)
    newer[:, 110:] = texture(8)[:, 110:]
    alignment = Alignment(make_found([box]), Picture.of(older))
    for _ in range(3):
        alignment.advance(between(older, newer))

    x1, y1, _, y2 = box
    assert corner_error(alignment.back[0], matrix, (x1, y1, 100, y2)) < 1.5


def test_a_little_more_light_does_not_move_anything(texture, make_found):
    """A picture that is a few grey levels brighter shows everything where it was."""
    older = texture(3)
    newer = np.clip(older.astype(int) + 5, 0, 255).astype(np.uint8)
    alignment = Alignment(make_found(BOXES), Picture.of(older))
    alignment.advance(between(older, newer))

    np.testing.assert_allclose(alignment.poses, alignment.patches.rest, atol=0.3)


def test_black_pictures_move_nothing(texture, make_found):
    """Where there is nothing to see, poses stay."""
    older = texture(3)
    alignment = Alignment(make_found(BOXES), Picture.of(older))
    alignment.advance(between(older, np.zeros_like(older)))

    np.testing.assert_allclose(alignment.poses, alignment.patches.rest, atol=1e-6)


@pytest.mark.parametrize("boxes", [[(0, 0, 320, 180)], [(319, 179, 320, 180)], [(50, 50, 51, 51)], [(-40, -40, -20, -20)]])
def test_odd_boxes_in_nonsense_stay_finite(texture, make_found, boxes):
    """Boxes without area, outside or as large as the picture, led through noise, keep poses of a believable size."""
    rng = np.random.default_rng(0)
    older = texture(3)
    alignment = Alignment(make_found(boxes), Picture.of(older))
    for _ in range(30):
        newer = rng.integers(0, 256, older.shape, np.uint8)
        alignment.advance(between(older, newer))
        older = newer

    assert np.isfinite(alignment.poses).all()
    area = np.linalg.det(alignment.poses[:, :, :2]) / np.linalg.det(alignment.patches.rest[:, :, :2])
    assert ((area >= 1 / AREA_CHANGE_MAX) & (area <= AREA_CHANGE_MAX)).all()


def test_two_findings_of_one_object_are_together(texture, make_found):
    """Boxes on the same object are; neighbours that overlap a little are not."""
    alignment = Alignment(make_found([(60, 40, 130, 110), (64, 44, 128, 112), (120, 40, 190, 110)]), Picture.of(texture()))

    assert alignment.together(0, 1)
    assert not alignment.together(0, 2)
    assert not alignment.together(1, 2)


def test_inverses_of_affine_matrices():
    """A matrix made square, times its inverse, is the identity."""
    affine = np.random.default_rng(0).normal(0, 1, (5, 2, 3))

    np.testing.assert_allclose(square(affine) @ inverse(square(affine)), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9)
