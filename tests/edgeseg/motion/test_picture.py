"""The small pictures on which motion is measured."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion.picture import GRID, LEVELS, Picture


@pytest.mark.parametrize(
    ("hw", "finest"),
    [
        ((360, 640), (180, 320)),
        ((720, 1280), (180, 320)),
        ((1920, 1080), (320, 180)),
        ((180, 320), (180, 320)),
        ((100, 120), (100, 120)),
        ((1, 1), (64, 64)),
        ((40, 2000), (64, 320)),
        ((481, 333), (320, 222)),
    ],
)
def test_size_of_the_finest_level(hw, finest):
    """The longer side is at most 320 and the aspect is kept, unless a side would become too narrow for optical flow."""
    picture = Picture.of(np.zeros((*hw, 3), np.uint8))

    assert picture.levels[0].shape == finest
    assert picture.image_hw == hw


@pytest.mark.parametrize("hw", [(360, 640), (99, 181), (720, 1280)])
def test_each_level_is_the_mean_of_the_one_before(hw):
    """Each level has half the size, rounded up, and away from odd borders each pixel is the mean of four."""
    picture = Picture.of(np.random.default_rng(1).integers(0, 256, (*hw, 3), np.uint8))

    assert len(picture.levels) == LEVELS
    assert picture.grid is picture.levels[GRID]
    for fine, coarse in zip(picture.levels[:-1], picture.levels[1:], strict=True):
        assert coarse.shape == tuple((side + 1) // 2 for side in fine.shape)
        if all(side % 2 == 0 for side in fine.shape):
            blocks = fine.reshape(coarse.shape[0], 2, coarse.shape[1], 2).astype(float)
            np.testing.assert_allclose(coarse, blocks.mean(axis=(1, 3)), atol=0.6)


@pytest.mark.parametrize("hw", [(360, 640), (720, 1280)])
def test_finest_level_is_the_mean_of_the_frame(hw):
    """Where the frame is a whole multiple of the finest level, its pixels are plain means over grey pixels."""
    grey = np.random.default_rng(2).integers(0, 256, hw, np.uint8)

    finest = Picture.of(np.repeat(grey[..., None], 3, axis=2)).levels[0]

    factor = hw[0] // 180
    expected = grey.reshape(180, factor, 320, factor).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(finest, expected, atol=1.1)


def test_stacked_levels_lie_under_each_other():
    """One array holds all levels, aligned at the left, so that a single look-up reads from several."""
    picture = Picture.of(np.random.default_rng(3).integers(0, 256, (90, 160, 3), np.uint8))

    top = 0
    for level in picture.levels:
        np.testing.assert_array_equal(picture.stacked[top : top + level.shape[0], : level.shape[1]], level)
        top += level.shape[0]
    assert picture.stacked.shape == (top, 160)


def test_wrong_levels_are_refused():
    """A picture needs all its levels, each of them grey."""
    grey = np.zeros((64, 64), np.uint8)
    with pytest.raises(ValueError, match="grey pictures are needed"):
        Picture((grey,), (64, 64))
    with pytest.raises(ValueError, match="grey pictures are needed"):
        Picture((grey, grey, grey, np.zeros((8, 8, 3), np.uint8)), (64, 64))
