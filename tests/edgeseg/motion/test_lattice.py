"""Lattices over windows, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion.lattice import MARGIN, SIDE, Lattice

HW = (180, 320)
POSES = np.array(
    [
        [[30.0, 0, 100], [0, 20, 60]],
        [[20.0, 10, 120], [-10, 20, 70]],
        [[15.0, 0, 5], [0, 15, 175]],
        [[15.0, 0, 500], [0, 15, 60]],
    ]
)


@pytest.fixture
def lattice():
    """Windows around four boxes: one at rest, one turned onto it, one in a corner, one that has left."""
    return Lattice.around(POSES, HW)


def test_windows_hold_the_posed_boxes(lattice):
    """The corners of a posed box, and a margin, lie inside its window; windows stay inside the picture."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * MARGIN
    for pose, (x1, y1, x2, y2) in zip(POSES, lattice.windows, strict=True):
        x, y = np.clip(pose[:, :2] @ corners.T + pose[:, 2:], 0, [[HW[1]], [HW[0]]])
        np.testing.assert_allclose([x1, y1, x2, y2], [x.min(), y.min(), x.max(), y.max()], atol=1)
    assert lattice.windows[3, 0] == lattice.windows[3, 2] == HW[1]


def test_mapped_moves_each_cell(lattice):
    """Every cell's middle, by its window's own matrix."""
    mapped = lattice.mapped(POSES)

    for i, pose in enumerate(POSES):
        x1, y1, x2, y2 = lattice.windows[i]
        for row, column in ((0, 0), (3, 17), (SIDE - 1, 5)):
            middle = [x1 + (column + 0.5) * (x2 - x1) / SIDE, y1 + (row + 0.5) * (y2 - y1) / SIDE]
            np.testing.assert_allclose(mapped[:, i, row, column], pose[:, :2] @ middle + pose[:, 2], rtol=1e-4)


def test_meetings_are_pairs_that_share_pixels(lattice):
    """Only the first two windows overlap, and no window meets itself."""
    assert lattice.meetings() == [(0, 1)]


@pytest.mark.parametrize("axis", [0, 1])
def test_common_cells_and_their_places(lattice, axis):
    """The cells of one window inside another, and where they lie among its cells."""
    low, high = lattice.windows[0, axis], lattice.windows[0, 2 + axis]
    middles = (lattice.y if axis else lattice.x)[1]

    cells = lattice.common(0, 1, axis)

    np.testing.assert_array_equal(np.arange(SIDE)[cells], np.flatnonzero((middles >= low) & (middles < high)))
    expected = (middles[cells] - low) / (high - low) * SIDE - 0.5
    np.testing.assert_allclose(lattice.places(0, 1, axis, cells), expected, atol=1e-3)


def test_windows_apart_have_no_common_cells(lattice):
    """Nothing lies in a window far away, or in one without area."""
    for other in (2, 3):
        cells = lattice.common(0, other, 0)
        assert cells.start >= cells.stop


def test_extents_in_pixels(lattice):
    """The edges of what is on the lattice, in pixels of the picture; zero for nothing."""
    values = np.zeros((4, SIDE, SIDE), np.float32)
    values[0] = 1
    values[1, : SIDE // 2] = 1

    extents = lattice.extents(values)

    np.testing.assert_allclose(extents[0], lattice.windows[0], atol=1e-3)
    x1, y1, x2, y2 = lattice.windows[1]
    np.testing.assert_allclose(extents[1], [x1, y1, x2, (y1 + y2) / 2], atol=1e-3)
    assert not extents[2:].any()
