"""Colours against loops over pixels and known colours."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.opencv import opencv
from edgeseg.track.appearance import BINS, MIN_CELLS, colour_bins, look


def plain_bin(pixel):
    """The bin of one BGR colour: eight steps of L, a and b."""
    lightness, a, b = (int(v) for v in opencv().cvtColor(np.array([[pixel]], np.uint8), opencv().COLOR_BGR2Lab)[0, 0])
    return 64 * (lightness // 32) + 8 * min(max((a - 128) // 12 + 4, 0), 7) + min(max((b - 128) // 12 + 4, 0), 7)


@pytest.mark.parametrize("scale", [1, 2, 3, 8])
def test_bins_are_those_of_the_cells_colours(scale):
    """Each cell of one colour falls into that colour's bin, however large the picture is."""
    rng = np.random.default_rng(2)
    colours = rng.integers(0, 256, (6, 9, 3), np.uint8)
    pixels = colours.repeat(scale, axis=0).repeat(scale, axis=1)

    bins = colour_bins(pixels, (6, 9))

    assert bins.tolist() == [plain_bin(colour) for colour in colours.reshape(-1, 3)]
    assert bins.min() >= 0
    assert bins.max() < BINS


def test_look_is_a_histogram_of_the_masks_cells():
    """Square roots of the shares of the bins under the mask, so that the product of a look with itself is 1."""
    bins = np.array([3, 3, 3, 7, 9, 9])
    drawn = np.array([1, 1, 1, 1, 0, 0], np.float32)

    found = look(bins, drawn)

    assert found[[3, 7, 9]].tolist() == pytest.approx([0.75**0.5, 0.25**0.5, 0])
    assert float(found @ found) == pytest.approx(1)


def test_tiny_masks_have_no_look():
    """Too few cells say nothing, and are like nothing."""
    drawn = np.zeros(10, np.float32)
    drawn[: MIN_CELLS - 1] = 1

    assert not look(np.zeros(10, np.int64), drawn).any()
