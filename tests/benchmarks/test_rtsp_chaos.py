"""The measure of how old a picture is, by the time that it carries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.rtsp_chaos import BLOCK, STAMP_BITS, stamped_age_s


def stamped(microseconds, hw=(360, 640)):
    """A picture with a time in its top row, as the server writes it."""
    pixels = np.full((*hw, 3), 100, np.uint8)
    for i in range(STAMP_BITS):
        pixels[:BLOCK, i * BLOCK : (i + 1) * BLOCK] = 235 if microseconds >> (STAMP_BITS - 1 - i) & 1 else 16
    return pixels


@pytest.mark.parametrize(
    ("made_us", "now_s", "age_s"), [(5_000_000, 5.25, 0.25), ((1 << 32) - 500_000, (1 << 32) / 1e6 + 0.5, 1.0), (0, 0.0, 0.0)]
)
def test_age_is_since_the_picture_was_made(made_us, now_s, age_s):
    """Microseconds are read from the blocks, also where their counter has begun anew since."""
    assert stamped_age_s(stamped(made_us), now_s) == pytest.approx(age_s, abs=2e-6)


def test_a_picture_without_a_readable_time_has_no_age():
    """Damaged, scaled and small pictures tell nothing."""
    for pixels in (np.full((360, 640, 3), 128, np.uint8), np.zeros((8, 100, 3), np.uint8)):
        assert math.isnan(stamped_age_s(pixels, 1.0))
