"""When a picture counts as frozen."""

from __future__ import annotations

import numpy as np

from edgeseg.sources.frozen import FrozenWatch


def test_the_limit_is_reached_once_until_the_picture_changes():
    """True at the first picture that completes the limit, and not again before another picture came."""
    watch = FrozenWatch(2.0)
    still, other = np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 9, np.uint8)

    assert [watch.see(still, float(now)) for now in range(5)] == [False, False, True, False, False]
    assert [watch.see(other, 5.0), watch.see(other, 6.9), watch.see(other, 7.0)] == [False, False, True]


def test_a_little_change_or_another_size_is_no_freeze():
    """Noise of a few pixels that are looked at is a change, and so is another size."""
    watch = FrozenWatch(1.0)
    noisy = np.zeros((16, 16, 3), np.uint8)
    noisy[8, 8, 0] = 4

    assert not watch.see(np.zeros((16, 16, 3), np.uint8), 0.0)
    assert not watch.see(noisy, 5.0)
    assert not watch.see(np.zeros((8, 8, 3), np.uint8), 10.0)


def test_a_picture_that_is_written_over_is_compared_with_what_it_was():
    """The watch keeps its own copy."""
    watch = FrozenWatch(1.0)
    pixels = np.zeros((8, 8, 3), np.uint8)
    watch.see(pixels, 0.0)
    pixels += 9

    assert not watch.see(pixels, 2.0)


def test_a_picture_that_is_coded_anew_stays_the_same():
    """Differences as a codec makes them, against the first of these pictures, are none; a slow change is one."""
    watch = FrozenWatch(3.0)
    pictures = [np.full((8, 8, 3), 100 + shade, np.uint8) for shade in (0, 2, 0, 3, 6)]

    assert [watch.see(pixels, float(now)) for now, pixels in enumerate(pictures)] == [False, False, False, True, False]
    assert [watch.see(np.full((8, 8, 3), 100 + 4 * now, np.uint8), 10.0 + now) for now in range(6)] == [False] * 6
