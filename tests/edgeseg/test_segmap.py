"""Panoptic maps as numbers of rows, against pixel by pixel comparison."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.segmap import centre_of, extents_of, painted, rows_of
from edgeseg.types import Panoptic, Segment


def panoptic(ids, numbers):
    """A map with such segments."""
    segments = tuple(Segment(int(number), 0, True, 0.5, 0) for number in numbers)
    return Panoptic(np.asarray(ids, np.int32), segments)


@pytest.mark.parametrize(
    "numbers", [(3, 1, 255), (3, 900, 1), (2_000_000_000, 1, 7), (), tuple(range(1, 400)), (4_000_000, *range(1, 300))]
)
def test_each_pixel_has_the_place_of_its_segment(numbers):
    """Numbers small, large and many; those that no segment has are void, and so are negative ones."""
    rng = np.random.default_rng(2)
    ids = rng.choice([0, 5_000_000, 6, *numbers], (9, 11))
    if len(numbers) != 3:
        ids[0, 0] = -4

    rows = rows_of(panoptic(ids, numbers))

    assert rows.tolist() == [[numbers.index(v) + 1 if v in numbers else 0 for v in line] for line in ids.tolist()]
    assert rows.dtype == (np.uint8 if len(numbers) < 256 else np.int32)


@pytest.mark.parametrize("count", [3, 300])
def test_pixels_get_the_colour_of_their_row(count):
    """Bytes and larger numbers alike."""
    rng = np.random.default_rng(4)
    rows = rng.integers(0, count + 1, (7, 5)).astype(np.uint8 if count < 256 else np.int32)
    colours = rng.integers(0, 256, (count + 1, 3)).astype(np.uint8)

    assert np.array_equal(painted(rows, colours), colours[rows])


def test_extents_are_those_of_every_segment():
    """Areas and boxes of random maps equal what each segment's pixels say; a segment without pixels has zeros."""
    rng = np.random.default_rng(6)
    for _ in range(200):
        hw = tuple(rng.integers(1, 9, 2))
        rows = rng.integers(0, 5, hw).astype(np.uint8)

        extents = extents_of(rows, 6)

        for number in range(1, 7):
            y, x = np.nonzero(rows == number)
            box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1] if len(x) else [0] * 4
            assert extents.areas[number - 1] == len(x)
            assert extents.boxes[number - 1].tolist() == box


def test_centre_is_far_from_every_edge():
    """Of a bar it is in the middle of the thickest part; a single pixel is its own centre; the border of the picture is an edge."""
    bar = np.zeros((20, 40), np.uint8)
    bar[10, :] = 1
    bar[5:16, 25:36] = 1

    assert centre_of(bar) == (30, 10)
    assert centre_of(np.ones((9, 9), np.uint8)) == (4, 4)
    assert centre_of(np.ones((1, 1), np.uint8)) == (0, 0)
