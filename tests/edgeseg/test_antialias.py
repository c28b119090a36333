"""Antialiased resizing against Pillow, one axis at a time and both at once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgeseg.antialias import antialiased


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _pillow(pixels: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Rows first, then columns: newer versions of Pillow sometimes choose the other order, which rounds otherwise."""
    height, width = size_hw
    wide = Image.fromarray(pixels).resize((width, pixels.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(wide.resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1080, 1920), (750, 1333)),
        ((720, 1280), (750, 1333)),
        ((480, 640), (800, 1067)),
        ((427, 640), (427, 1000)),
        ((300, 200), (100, 200)),
        ((37, 91), (200, 13)),
        ((1500, 40), (35, 61)),
        ((70, 94), (2, 144)),
        ((5, 7), (1, 1)),
        ((1, 1), (9, 9)),
        ((1, 300), (3, 8)),
    ],
)
def test_every_grey_level_is_pillows(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Larger, smaller, one axis each way, one axis kept, down to one pixel."""
    pixels = _picture(*before)

    resized = antialiased(pixels, after)

    assert (resized.dtype, resized.shape) == (np.uint8, (*after, 3))
    assert np.array_equal(resized, _pillow(pixels, after))


@pytest.mark.parametrize("seed", range(20))
def test_every_grey_level_is_pillows_at_any_size(seed: int) -> None:
    """Sizes drawn at random over three orders of magnitude."""
    before_h, before_w, after_h, after_w = (int(side) for side in 2 ** np.random.default_rng(seed).uniform(0, 10, 4))
    pixels = _picture(before_h, before_w)

    assert np.array_equal(antialiased(pixels, (after_h, after_w)), _pillow(pixels, (after_h, after_w)))


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("size_hw", [(333, 17), (750, 1333)])
def test_an_even_picture_stays_even(value: int, size_hw: tuple[int, int]) -> None:
    """Weights that do not quite add up to one change no grey level, and white does not turn over into black."""
    assert (antialiased(np.full((720, 1280, 3), value, np.uint8), size_hw) == value).all()


def test_a_picture_cut_out_of_another_is_read_right() -> None:
    """Views with strides give the same as their copies, and a picture of the right size comes back as it is."""
    view = _picture(80, 120)[10:50:2, ::-1]

    assert np.array_equal(antialiased(view, (31, 67)), antialiased(view.copy(), (31, 67)))
    assert np.array_equal(antialiased(view, view.shape[:2]), view)
