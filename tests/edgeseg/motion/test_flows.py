"""Arithmetic on flows against loops over cells."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion.flows import RETURN_CELLS, SAME_GREY, cells, composed, explained, look_up, mean_length, places, returns

HW = (9, 13)


def bilinear(values, x, y):
    """The bilinear value at one place, the border going on."""
    rows, columns = values.shape[:2]
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    column, row = min(int(x), columns - 2), min(int(y), rows - 2)
    right, down = x - column, y - row
    upper = values[row, column] * (1 - right) + values[row, column + 1] * right
    lower = values[row + 1, column] * (1 - right) + values[row + 1, column + 1] * right
    return upper * (1 - down) + lower * down


def on_grid(x, y):
    """Whether a place lies within half a cell of the outermost middles."""
    return -0.5 <= x <= HW[1] - 0.5 and -0.5 <= y <= HW[0] - 0.5


@pytest.fixture
def flows():
    """Two flows of up to three cells, in steps of 1/32, which the look-up resolves exactly."""
    rng = np.random.default_rng(3)
    return [(rng.integers(-96, 97, (*HW, 2)) / 32).astype(np.float32) for _ in range(2)]


def test_places_are_cells_plus_flow(flows):
    """A place is the cell's own column and row plus the displacement."""
    at = places(flows[0])

    for row in range(HW[0]):
        for column in range(HW[1]):
            np.testing.assert_allclose(at[row, column], flows[0][row, column] + [column, row], atol=1e-5)


def test_cells_are_shared_and_cannot_be_changed():
    """The grid of a size is made once, so nobody may write to it."""
    assert cells(HW) is cells(HW)
    with pytest.raises(ValueError, match="read-only"):
        cells(HW)[0, 0] = 1


def test_look_up_is_bilinear(flows):
    """Values between cells are bilinear; beyond the border it goes on."""
    values = np.random.default_rng(5).random(HW).astype(np.float32)
    at = places(flows[0])

    found = look_up(values, at)

    expected = [[bilinear(values, *at[row, column]) for column in range(HW[1])] for row in range(HW[0])]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_composed_flow_follows_one_and_then_the_other(flows):
    """From each cell along the first flow, and from there along the second."""
    first, second = flows

    whole = composed(first, second)

    for row in range(HW[0]):
        for column in range(HW[1]):
            dx, dy = first[row, column]
            np.testing.assert_allclose(whole[row, column], first[row, column] + bilinear(second, column + dx, row + dy), atol=1e-4)


def test_returns_against_a_loop(flows):
    """A cell is consistent if the way there and back ends within the tolerance of it, and stays on the grid."""
    there = flows[0]
    back = -there + np.random.default_rng(7).normal(0, 0.8, there.shape).astype(np.float32)

    found = returns(there, back)

    expected = np.zeros(HW, bool)
    for row in range(HW[0]):
        for column in range(HW[1]):
            x, y = column + there[row, column, 0], row + there[row, column, 1]
            miss = there[row, column] + bilinear(back, x, y)
            expected[row, column] = np.hypot(*miss) <= RETURN_CELLS and on_grid(x, y)
    np.testing.assert_array_equal(found, expected)
    assert 0 < expected.mean() < 1


def test_explained_against_a_loop(flows):
    """The part of the cells that are about as bright as where they came from; what came from outside is not explained."""
    rng = np.random.default_rng(9)
    older = rng.integers(0, 60, HW, np.uint8)
    newer = rng.integers(0, 60, HW, np.uint8)

    found = explained(newer, older, flows[0])

    same = 0
    for row in range(HW[0]):
        for column in range(HW[1]):
            x, y = column + flows[0][row, column, 0], row + flows[0][row, column, 1]
            grey = np.rint(bilinear(older.astype(float), x, y))
            same += abs(grey - newer[row, column]) <= SAME_GREY and on_grid(x, y)
    # A grey level may be rounded the other way.
    assert found == pytest.approx(same / newer.size, abs=2.5 / newer.size)
    assert 0 < found < 1


def test_mean_length(flows):
    """The mean of the displacements' lengths, whatever the memory layout."""
    expected = np.mean([np.hypot(x, y) for x, y in flows[0].reshape(-1, 2)])

    assert mean_length(flows[0]) == pytest.approx(expected, rel=1e-5)
    assert mean_length(flows[0][:, ::-1]) == pytest.approx(expected, rel=1e-5)
