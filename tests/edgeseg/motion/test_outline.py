"""What of posed masks is seen."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.masks import SoftMasks
from edgeseg.motion import MotionEstimator, Trail
from edgeseg.motion.outline import HIDDEN_GREY, Outlines, _local_change, _without_fragments


@pytest.fixture
def outlines(make_frames):
    """``outlines(found, pictures)``: the masks of ``found`` in the first picture, posed in the last."""

    def make(found, pictures) -> Outlines:
        estimator, trail = MotionEstimator(), Trail()
        for frame in make_frames(pictures):
            motion = estimator.update(frame)
            if motion is not None:
                trail.add(motion)
        return Outlines.of(trail.align(found))

    return make


def pixels(outlines, i, hw=(180, 320)):
    """A mask at image size."""
    return SoftMasks((outlines.mask(i),), hw).paste(0)


def test_masks_of_a_still_picture_stay(outlines, make_found, texture, iou):
    """Nothing moved: each mask is what it was, explained as a whole, and nothing of it is hidden."""
    found = make_found([(60, 40, 130, 110), (150, 100, 320, 180), (0, 0, 30, 40)])

    posed = outlines(found, [texture()] * 3)
    seen = posed.visible()

    np.testing.assert_allclose(posed.explained, 1)
    for i in range(3):
        assert iou(pixels(posed, i), found.masks.paste(i)) > 0.96
        np.testing.assert_array_equal(posed.values[i], seen.values[i])


def crossing(texture, pasted, near_first):
    """Two discs that come together: one comes from the left and one from the right, and one is in front."""
    ground, left, right = texture(0), texture(1), texture(2)
    frames = []
    for step in range(7):
        boxes = (60 + 6 * step, 60, 120 + 6 * step, 120), (160 - 4 * step, 60, 220 - 4 * step, 120)
        order = [(right, boxes[1]), (left, boxes[0])] if near_first else [(left, boxes[0]), (right, boxes[1])]
        picture = ground
        for sprite, box in order:
            picture = pasted(picture, sprite, box)
        frames.append(picture)
    return frames, boxes


@pytest.mark.parametrize("near_first", [True, False])
def test_the_one_that_is_seen_keeps_the_cells(outlines, make_found, texture, pasted, near_first):
    """Where two masks have come to lie over each other the one in front keeps all of itself, and the other only the rest."""
    frames, boxes = crossing(texture, pasted, near_first)
    found = make_found([(60, 60, 120, 120), (160, 60, 220, 120)])
    both = boxes[1][0] + 3, boxes[0][2] - 3

    seen = outlines(found, frames).visible()

    near, far = (0, 1) if near_first else (1, 0)
    strip = slice(80, 100), slice(*both)
    assert pixels(seen, near)[strip].mean() > 0.95
    assert pixels(seen, far)[strip].mean() < 0.1
    middle_of_far = (sum(boxes[far][::2]) // 2 + (12 if far == 1 else -12), 90)
    assert pixels(seen, far)[middle_of_far[1], middle_of_far[0]]


def test_what_was_shared_stays_shared(outlines, make_found, texture):
    """Two findings of one object do not take it from each other, nor do neighbours whose masks overlapped from the first."""
    found = make_found([(60, 40, 130, 110), (63, 43, 128, 108), (105, 40, 175, 110)])

    posed = outlines(found, [texture()] * 2)

    np.testing.assert_array_equal(posed.visible().values, posed.values)


def test_an_unknown_thing_in_front_hides_what_it_covers(outlines, make_found, texture, pasted):
    """A bright bar that nobody found moves over a disc: the mask loses what is under it and explains only the rest."""
    frames = []
    for step in range(4):
        picture = pasted(texture(0), texture(1) // 2 + 10, (100, 40, 180, 120))
        picture[:, 190 - 16 * step : 240 - 16 * step] = 250
        frames.append(picture)
    found = make_found([(100, 40, 180, 120)])

    posed = outlines(found, frames)
    seen = posed.visible()

    mask = pixels(seen, 0)
    assert mask[80, 120]
    assert mask[60:100, 152:176].mean() < 0.15
    assert 0.4 < posed.explained[0] < 0.85
    assert mask.sum() < 0.8 * pixels(posed, 0).sum()


def test_no_fragments_are_left(texture):
    """Small parts go, large parts stay, and a whole mask is unchanged."""
    values = np.zeros((36, 36), np.float32)
    values[2:20, 2:20] = 1
    values[25:33, 25:33] = 0.9
    values[4, 30] = 1

    kept = _without_fragments(values)

    assert kept[4, 30] == 0
    kept[4, 30] = 1
    np.testing.assert_array_equal(kept, values)


def test_local_change_against_a_loop():
    """The mean absolute difference over the 3 x 3 points around, of those that count; 0 where a point does not."""
    rng = np.random.default_rng(0)
    difference = rng.normal(0, HIDDEN_GREY, (2, 81)).astype(np.float32)
    weight = (rng.random((2, 81)) < 0.7).astype(np.float32)
    weight[:, :9] = weight[:, -9:] = 0

    change = _local_change(difference, weight)

    d, w = difference.reshape(2, 9, 9), weight.reshape(2, 9, 9)
    for i in range(2):
        for row in range(1, 8):
            for column in range(1, 8):
                near = (i, slice(row - 1, row + 2), slice(column - 1, column + 2))
                expected = (np.abs(d) * w)[near].sum() / w[near].sum() if w[i, row, column] else 0
                assert change[i, row, column] == pytest.approx(expected, rel=1e-4)


def test_a_mask_that_left_has_no_extent(outlines, make_found, texture, warped):
    """What has moved out of the picture has an empty window, and extents without area."""
    pictures = [warped(texture(), [[1, 0, 12 * step], [0, 1, 0]]) for step in range(6)]
    found = make_found([(270, 60, 310, 100)])

    posed = outlines(found, pictures)

    x1, _, x2, _ = posed.extents[0]
    assert x2 - x1 < 3
