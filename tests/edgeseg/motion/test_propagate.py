"""Instances moved from an anchor to a later frame."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.masks import SoftMasks, grid_mask
from edgeseg.motion import MotionEstimator, Trail, propagate
from edgeseg.motion.propagate import DECAY
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import Instances

BOXES = [(60, 40, 130, 110), (170, 70, 230, 130)]


@pytest.fixture
def trail_through(make_frames):
    """``trail_through(pictures)``: a trail from the first picture to the last."""

    def make(pictures) -> Trail:
        estimator, trail = MotionEstimator(), Trail()
        for frame in make_frames(pictures):
            motion = estimator.update(frame)
            if motion is not None:
                trail.add(motion)
        return trail

    return make


def panned(texture, warped, count, step=(3, 1)):
    """A picture that moves by so many pixels a frame."""
    return [warped(texture(), [[1, 0, step[0] * k], [0, 1, step[1] * k]]) for k in range(count)]


def test_empty_trail_returns_what_was_found(make_found):
    """The anchor itself: the very same instances."""
    found = make_found(BOXES)

    assert propagate(found, Trail(), score_threshold=0.99) is found


def test_nothing_found_stays_nothing(make_found, trail_through, texture):
    """No instances, no work."""
    found = make_found([])

    assert len(propagate(found, trail_through([texture()] * 3))) == 0


def test_boxes_and_masks_move_with_the_picture(make_found, trail_through, texture, warped, iou):
    """After four frames of panning, boxes and pixels are where they should be; the rest is carried along."""
    found = make_found(BOXES, mask_scores=True)

    moved = propagate(found, trail_through(panned(texture, warped, 5)))

    np.testing.assert_allclose(moved.boxes, found.boxes + np.float32([12, 4, 12, 4]), atol=1.0)
    np.testing.assert_array_equal(moved.classes, found.classes)
    np.testing.assert_array_equal(moved.track_ids, found.track_ids)
    for i in range(2):
        expected = np.roll(found.masks.paste(i), (4, 12), (0, 1))
        assert iou(moved.masks.paste(i), expected) > 0.95
    np.testing.assert_allclose(moved.scores, found.scores * DECAY**4, rtol=0.05)
    np.testing.assert_allclose(moved.mask_scores / found.mask_scores, moved.scores / found.scores, rtol=1e-5)


def test_masks_grow_and_turn_with_their_object(make_found, trail_through, texture, warped, iou):
    """An ellipse that turns by 40 degrees while it grows by a quarter, against its pixels turned and grown."""
    box = (130, 60, 210, 100)
    found, matrices = make_found([box]), []
    for k in range(11):
        angle, scale = np.radians(4) * k, 1 + 0.025 * k
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrices.append(np.c_[turn, [170, 80] - turn @ [170, 80]])
    pictures = [warped(texture(), matrix) for matrix in matrices]

    moved = propagate(found, trail_through(pictures))

    expected = warped(found.masks.paste(0).astype(np.uint8) * 255, matrices[-1]) > 127
    assert iou(moved.masks.paste(0), expected) > 0.93
    rows, columns = np.nonzero(expected)
    np.testing.assert_allclose(moved.boxes[0], [columns.min(), rows.min(), columns.max(), rows.max()], atol=3)


def test_a_still_picture_keeps_everything(make_found, trail_through, texture, iou):
    """Repeated frames change nothing but the scores."""
    found = make_found([*BOXES, (0, 100, 40, 180)])

    moved = propagate(found, trail_through([texture()] * 6))

    np.testing.assert_allclose(moved.boxes, found.boxes, atol=0.5)
    np.testing.assert_allclose(moved.scores, found.scores * DECAY**5, rtol=1e-5)
    for i in range(3):
        assert iou(moved.masks.paste(i), found.masks.paste(i)) > 0.96


def test_box_keeps_its_relation_to_its_mask(make_found, trail_through, texture, warped):
    """A box that is larger than its mask stays larger by as much."""
    found = make_found(BOXES)
    wide = Instances(found.boxes + np.float32([-5, -3, 4, 2]), found.scores, found.classes, found.masks, found.track_ids, found.image_hw)

    moved = propagate(wide, trail_through(panned(texture, warped, 4)))

    np.testing.assert_allclose(moved.boxes, wide.boxes + np.float32([9, 3, 9, 3]), atol=1.0)


def test_order_is_descending_and_the_threshold_holds(make_found, trail_through, texture):
    """A part of the first instance is hidden, so it falls behind the second; the third falls below the threshold."""
    found = make_found([(60, 40, 130, 110), (200, 40, 260, 100), (150, 120, 200, 170)])
    hidden = texture().copy()
    hidden[:, 105:135] = 255

    moved = propagate(found, trail_through([texture(), hidden]), score_threshold=0.698)

    assert moved.track_ids.tolist() == [8]
    moved = propagate(found, trail_through([texture(), hidden]))
    assert np.all(np.diff(moved.scores) <= 0)
    assert moved.track_ids.tolist().index(8) < moved.track_ids.tolist().index(7)


def test_what_leaves_the_picture_is_left_out(make_found, trail_through, texture, warped):
    """An instance that pans out of the picture ends; one that stays does not, and its box is inside the picture."""
    found = make_found([(60, 40, 130, 110), (250, 40, 310, 100)])
    pictures = panned(texture, warped, 14, step=(6, 0))

    kept = [propagate(found, trail_through(pictures[:count])) for count in (4, 14)]

    assert sorted(kept[0].track_ids.tolist()) == [7, 8]
    assert kept[1].track_ids.tolist() == [7]
    for moved in kept:
        assert (moved.boxes >= 0).all()
        assert (moved.boxes[:, [0, 2]] <= 320).all()


def test_scene_cut_and_black_frames(make_found, trail_through, texture):
    """Nothing is shown over a cut, or while the picture is black; when it returns, so do the instances."""
    found, black = make_found(BOXES), np.zeros_like(texture())

    assert len(propagate(found, trail_through([texture(), texture(5)]))) == 0
    assert len(propagate(found, trail_through([texture(), texture(), black]))) == 0
    back = propagate(found, trail_through([texture(), texture(), black, black, texture()]))
    np.testing.assert_allclose(back.boxes, found.boxes, atol=1.0)


def test_nothing_survives_a_cut_by_chance(make_found, trail_through, texture):
    """A flat wall in the next scene, as grey as the flat object in the last, is not that object."""
    pictures = [texture(0), texture(5)]
    for picture in pictures:
        picture[30:120, 50:140] = 120

    assert len(propagate(make_found(BOXES), trail_through(pictures))) == 0


def test_what_is_no_longer_there_is_lost(make_found, trail_through, texture, pasted):
    """A disc that vanishes between two frames is left out, although all around it stays."""
    with_it, without = pasted(texture(), 255 - texture(4), BOXES[0]), texture()

    moved = propagate(make_found(BOXES), trail_through([with_it, with_it, without]))

    assert moved.track_ids.tolist() == [8]


def truth_instances(truth) -> Instances:
    """The visible instances of a synthetic frame as a model would give them: soft masks on a quarter of the pixels."""
    height, width = truth.image_hw
    masks = []
    for k in range(len(truth)):
        cells = truth.visible(k).reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3)).astype(np.float32)
        masks.append(grid_mask(cells, (0, 0), (height // 4, width // 4), truth.image_hw))
    n = len(truth)
    columns = np.full(n, 0.9, np.float32), truth.classes, SoftMasks(tuple(masks), truth.image_hw), truth.ids.astype(np.int64)
    return Instances(truth.boxes, *columns, truth.image_hw)


def test_accuracy_on_synthetic_scenes(iou, make_frames):
    """Over four frames of held-out scenes true masks lose little when moved, and far less than when they stay."""
    moved_iou, still_iou, box_error = [], [], []
    for seed in range(HELD_OUT_FIRST_SEED + 600, HELD_OUT_FIRST_SEED + 606):
        scene = Scene(SceneConfig(seed=seed))
        found, estimator, trail = truth_instances(scene.truth(20)), MotionEstimator(), Trail()
        for frame in make_frames([scene.render(20 + k) for k in range(5)]):
            motion = estimator.update(frame)
            if motion is not None:
                trail.add(motion)
        moved, truth = propagate(found, trail), scene.truth(24)
        for k, number in enumerate(truth.ids.tolist()):
            if number in found.track_ids and truth.visible(k).sum() > 100:
                before, after = (np.flatnonzero(at.track_ids == number) for at in (found, moved))
                still_iou.append(iou(found.masks.paste(before[0]), truth.visible(k)))
                moved_iou.append(iou(moved.masks.paste(after[0]), truth.visible(k)) if len(after) else 0.0)
                if len(after):
                    box_error.append(np.abs(moved.boxes[after[0]] - truth.boxes[k]).max())

    assert np.mean(moved_iou) > 0.9
    assert np.mean(moved_iou) > np.mean(still_iou) + 0.15
    assert np.median(box_error) < 3
