"""The grid: where its cells lie, and masks drawn on it."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.track.grid import grid_of


@pytest.mark.parametrize(
    ("image_hw", "cells"), [((360, 640), (90, 160)), ((720, 1280), (90, 160)), ((40, 60), (40, 60)), ((20, 4000), (2, 320))]
)
def test_grid_has_about_ninety_rows(image_hw, cells):
    """Whatever the picture's size, the grid is small; small pictures have a cell for every pixel."""
    grid = grid_of(image_hw)

    assert grid.hw == cells
    assert grid.x[0, 0] == pytest.approx(image_hw[1] / cells[1] / 2)
    assert grid.y[-1, 0] == pytest.approx(image_hw[0] - image_hw[0] / cells[0] / 2)


def test_drawn_masks_are_the_pasted_ones():
    """On a grid of whole pixels a mask is what pasting it gives, also where its box is too small by a cell."""
    rng = np.random.default_rng(3)
    masks = SoftMasks(
        tuple(
            SoftMask(rng.random((5, 6)).astype(np.float32), (x, y, x + 18.0, y + 15.0), (x, y, x + 18, y + 15))
            for x, y in ((2, 3), (40, 20))
        ),
        (40, 60),
    )
    boxes = np.array([[3, 4, 19, 17], [41, 21, 57, 34]], np.float32)

    drawn = grid_of((40, 60)).draw(masks, boxes).reshape(2, 40, 60)

    for i in range(2):
        np.testing.assert_array_equal(drawn[i] > 0, masks.paste(i))


@pytest.mark.parametrize("box", [(-50, -50, -20, -20), (700, 400, 900, 500), (30, 30, 20, 20), (-1e30, 0, 1e30, 1e30), (5, 5, 5, 5)])
def test_windows_stay_on_the_grid(box):
    """A box outside the picture, inverted, huge or empty has a window of at least one cell."""
    grid = grid_of((360, 640))

    window = grid.window(np.array(box, np.float32), margin=0)

    assert grid.x[window].size > 0


def test_no_masks_are_drawn_as_none():
    """Nothing has no rows."""
    assert grid_of((40, 60)).draw(SoftMasks((), (40, 60)), np.zeros((0, 4), np.float32)).shape == (0, 2400)
