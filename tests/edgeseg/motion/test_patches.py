"""What the anchor shows inside masks, and how that changes with a pose."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion import Motion
from edgeseg.motion.align import _rest, square
from edgeseg.motion.patches import BRIGHTNESS_GREY, SIDE, Patches
from edgeseg.motion.picture import Picture
from edgeseg.motion.texture import Textures

HW = (180, 320)
BOXES = [(60, 40, 120, 110), (150, 100, 290, 160), (-1, 130, 40, 181)]


@pytest.fixture
def picture(texture):
    """The anchor."""
    return Picture.of(texture())


@pytest.fixture
def patches(make_found, picture):
    """Three boxes: small, wide, and in the picture's corner."""
    found = make_found(BOXES)
    return Patches.cut(Textures.of(found, _rest(found.boxes)), picture)


def test_points_count_inside_mask_and_picture(patches, make_found):
    """A point has weight where its mask has a value above the rim's and the picture goes that far."""
    found = make_found(BOXES)
    x, y = np.moveaxis(patches.rest @ patches.points, 1, 0).astype(np.float32)

    for i in range(3):
        value = found.masks.at(i, x[i : i + 1], y[i : i + 1])[0]
        # Near the rim the texture differs a little from the mask.
        assert patches.weight[i][value > 0.5].all()
        assert not patches.weight[i][value < 0.1].any()
    assert set(np.unique(patches.weight)) == {0, 1}
    np.testing.assert_array_equal(patches.total, patches.weight.sum(axis=1))


def test_an_unchanged_picture_does_not_differ(patches, picture):
    """At rest each point sees what was there."""
    assert np.abs(patches.compare(picture, patches.rest, patches.weight)).max() == 0


def test_grey_is_that_of_the_picture(patches, texture):
    """Points of a small box see the pixels of the frame, which has the size of the finest level."""
    x, y = np.moveaxis(patches.rest @ patches.points, 1, 0)[:, 0]
    nearest = texture()[np.clip(y, 0, HW[0] - 1).astype(int), np.clip(x, 0, HW[1] - 1).astype(int), 0]

    np.testing.assert_allclose(patches.grey[0], nearest, atol=25)
    assert np.corrcoef(patches.grey[0], nearest)[0, 1] > 0.98


@pytest.mark.parametrize("parameter", range(6))
def test_slopes_are_the_differences_that_small_changes_make(patches, picture, parameter):
    """Each parameter's slope is about what the picture differs by at a changed pose, over the change."""
    size = 0.08
    steps = np.zeros((3, 6))
    steps[:, parameter] = size
    change = (steps[:, None] @ patches.changes).reshape(-1, 2, 3)
    there, back = (patches.look(picture.stacked, patches.rest @ square(np.eye(3)[:2] + sign * change)) for sign in (1, -1))

    measured = (there - back) / (2 * size)

    for i in range(2):
        inner = patches.weight[i] > 0
        slope, expected = patches.slopes[i, parameter][inner], measured[i][inner]
        assert np.corrcoef(slope, expected)[0, 1] > 0.85
        assert np.polyfit(expected, slope, 1)[0] == pytest.approx(1, abs=0.3)


def test_what_parameters_do_in_the_picture(patches):
    """Scale and turn keep the shape of things although boxes are not square; stretch and shear change it, and not the area."""
    for parameter, expected in ((0, [[1, 0], [0, 1]]), (1, [[0, -1], [1, 0]]), (4, [[1, 0], [0, -1]]), (5, [[0, 1], [1, 0]])):
        steps = np.zeros((3, 6))
        steps[:, parameter] = 1
        own = (steps[:, None] @ patches.changes).reshape(-1, 2, 3)[:, :, :2]
        in_pixels = patches.rest[:, :, :2] @ own @ np.linalg.inv(patches.rest[:, :, :2])
        np.testing.assert_allclose(in_pixels, np.broadcast_to(expected, (3, 2, 2)), atol=1e-9)


@pytest.mark.parametrize(("brighter", "left"), [(4, 0), (-4, 0), (25, 25 - BRIGHTNESS_GREY)])
def test_a_little_common_brightness_is_no_difference(patches, texture, brighter, left):
    """What all points of an instance have gained or lost counts only beyond the tolerance."""
    frame = texture().astype(int) + brighter
    clear = np.clip(frame, 0, 255).astype(np.uint8)

    difference = patches.compare(Picture.of(clear), patches.rest, patches.weight)

    inner = (patches.weight > 0) & (patches.grey > 30) & (patches.grey < 225)
    np.testing.assert_allclose(difference[inner], left, atol=1.6)


def test_weight_inside_against_every_point(patches):
    """Points posed outside the picture have no weight."""
    poses = patches.rest.copy()
    poses[:, 0, 2] += [0, 60, -30]

    weight = patches.weight_inside(poses)

    at = poses @ patches.points
    inside = (at[:, 0] >= 0) & (at[:, 0] <= HW[1]) & (at[:, 1] >= 0) & (at[:, 1] <= HW[0])
    np.testing.assert_array_equal(weight, patches.weight * inside)
    assert weight[1].sum() < patches.total[1]


def test_mean_flow_is_in_pixels(patches, picture):
    """A flow that differs from left to right is averaged over each mask, and given in pixels of the frame."""
    rows, columns = picture.grid.shape
    backward = np.zeros((rows, columns, 2), np.float32)
    backward[..., 0] = np.arange(columns) / 10
    backward[..., 1] = -1

    mean = patches.mean_flow(Motion(backward, picture, picture, None), patches.rest)

    cell = HW[1] / columns
    for i in range(2):
        middle = (BOXES[i][0] + BOXES[i][2]) / 2
        np.testing.assert_allclose(mean[i], [(middle / cell - 0.5) / 10 * cell, -cell], atol=0.25)


def test_a_glance_is_a_quarter_of_the_points(patches, picture):
    """A glance sees the same at every second point each way, and twice the same is two of each."""
    glance = patches.glance()
    kept = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)[::2, ::2].ravel()

    np.testing.assert_array_equal(glance.grey, patches.grey[:, kept])
    twice = glance.twice()
    np.testing.assert_array_equal(twice.grey, np.concatenate([glance.grey, glance.grey]))
    poses = np.concatenate([patches.rest, patches.rest])
    assert np.abs(twice.compare(picture, poses, twice.weight)).max() == 0
