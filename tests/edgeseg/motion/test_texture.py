"""Masks as textures, against the masks themselves."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion.align import _rest
from edgeseg.motion.texture import REACH, SIDE, Textures, edges, to_texels

HW = (180, 320)
BOXES = [(40, 30, 120, 100), (100, 90, 131, 120), (0, 120, 50, 180), (200, 100, 320, 180)]


@pytest.fixture
def textures(make_found):
    """The four boxes' masks as textures, and the instances they came from."""
    found = make_found(BOXES)
    return Textures.of(found, _rest(found.boxes)), found


def test_texture_is_the_mask_in_its_own_coordinates(textures):
    """At any point in a box the texture has about the value that the mask has at that pixel."""
    masks, found = textures
    u, v = (axis.astype(np.float32) for axis in np.meshgrid(np.linspace(-0.97, 0.97, 23), np.linspace(-0.97, 0.97, 23)))
    count = len(found)

    seen = masks.look(np.tile(to_texels(u), (count, 1, 1)), np.tile(to_texels(v), (count, 1, 1)))

    for i in range(count):
        x, y = (masks.rest[i, axis, axis] * own + masks.rest[i, axis, 2] for axis, own in enumerate((u, v)))
        inside = (x > 1) & (y > 1) & (x < HW[1] - 1) & (y < HW[0] - 1)
        expected = found.masks.at(i, x.astype(np.float32), y.astype(np.float32))
        np.testing.assert_allclose(seen[i][inside], expected[inside], atol=0.08)


def test_far_outside_a_box_inside_the_picture_there_is_nothing(textures):
    """Beyond the reach of a texture its mask is empty."""
    masks, found = textures
    middle = to_texels(np.zeros((len(found), 1), np.float32))

    for own in (-3, -1.6, 1.6, 3):
        far = to_texels(np.full((len(found), 1), own, np.float32))
        assert masks.look(far, middle)[:2].max() == 0
        assert masks.look(middle, far)[:2].max() == 0


def test_a_mask_larger_than_its_box_ends_with_its_texture(make_found):
    """A mask of which the box holds only the middle does not go on for ever."""
    found = make_found([(40, 30, 160, 150)])
    masks = Textures.of(found, _rest(np.float32([(80, 70, 120, 110)])))

    along = to_texels(np.float32([[0, 1, 1.3, 3]]))
    middle = to_texels(np.zeros((1, 4), np.float32))
    for seen in (masks.look(along, middle)[0], masks.look(middle, along)[0]):
        assert (seen[:2] > 0.9).all()
        assert not seen[2:].any()


def test_a_mask_goes_on_beyond_the_picture(textures):
    """What the picture's edge cuts off is taken to be as at the edge, as far as one may look."""
    masks, found = textures
    middle = to_texels(np.zeros((len(found), 1), np.float32))
    beyond = to_texels(np.full((len(found), 1), 2.5, np.float32))

    edge_x = to_texels(np.full((len(found), 1), 0.98, np.float32))
    np.testing.assert_allclose(masks.look(beyond, middle)[3], masks.look(edge_x, middle)[3], atol=0.1)
    assert masks.look(beyond, middle)[3] > 0.4


def test_extents_are_those_of_the_pixels(textures):
    """The edges of each mask, to a pixel or two of those of its pixels."""
    masks, found = textures

    for i, extent in enumerate(masks.extents):
        rows, columns = np.nonzero(found.masks.paste(i))
        np.testing.assert_allclose(extent, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=1.5)


def test_held_reads_one_mask_at_the_texels_of_another(textures):
    """The first mask's value at the pixel where a texel of the second lies."""
    masks, found = textures
    texel = np.arange(4, SIDE - 4, 3).astype(np.float32)
    x, y = np.meshgrid(texel, texel)

    held = masks.held(0, 1, x, y)

    own = [(at - (SIDE / 2 - 0.5)) / (SIDE / 2 / REACH) for at in (x, y)]
    pixel = [(masks.rest[1, axis, axis] * own[axis] + masks.rest[1, axis, 2]).astype(np.float32) for axis in range(2)]
    np.testing.assert_allclose(held, found.masks.at(0, *pixel), atol=0.08)


def test_overlap_is_a_part_of_the_second_mask(textures):
    """Part of the second mask's pixels that belong to the first."""
    masks, found = textures
    pixels = [found.masks.paste(i) for i in range(2)]

    assert masks.overlap(0, 1) == pytest.approx((pixels[0] & pixels[1]).sum() / pixels[1].sum(), abs=0.05)
    assert masks.overlap(0, 0) == 1
    assert masks.overlap(0, 3) == 0


def test_edges_of_known_masks():
    """Edges lie where values cross one half between two cells' middles; an empty mask has none."""
    values = np.zeros((3, 10, 10), np.float32)
    values[0, 2:5, 3:9] = 1
    values[1] = 1

    found = edges(values)

    np.testing.assert_allclose(found, [[0.3, 0.2, 0.9, 0.5], [0, 0, 1, 1], [0, 0, 0, 0]], atol=1e-6)
