"""Motion against exact truth: pictures that move by known amounts, and synthetic scenes with exact flow and masks."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.motion import FLOWS, MotionEstimator, Trail, propagate, propagate_panoptic
from edgeseg.opencv import opencv
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import BoolArray, Frame, Instances, Panoptic, Segment, U8Array

HW = (180, 320)
SCENES = [Scene(SceneConfig(seed=HELD_OUT_FIRST_SEED + 700 + k, size_hw=(360, 640))) for k in range(3)]


def _texture(seed: int, hw: tuple[int, int] = HW) -> U8Array:
    """A smooth random picture, so that its motion can be seen everywhere."""
    raw = np.random.default_rng(seed).integers(0, 256, (hw[0] // 8, hw[1] // 8, 3), np.uint8)
    picture: U8Array = opencv().resize(raw, hw[::-1], interpolation=opencv().INTER_CUBIC)
    return picture


def _moved(pixels: U8Array, x: float, y: float) -> U8Array:
    """The picture moved right and down; its border goes on."""
    cv2 = opencv()
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    moved: U8Array = cv2.warpAffine(pixels, matrix, pixels.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return moved


def _trail(pictures: list[U8Array]) -> Trail:
    """From the first picture to the last."""
    estimator, trail = MotionEstimator(), Trail()
    for index, pixels in enumerate(pictures):
        motion = estimator.update(Frame(pixels, index))
        if motion is not None:
            trail.add(motion)
    return trail


def _instances(masks: list[BoolArray], classes: list[int] | None = None) -> Instances:
    """True masks as a model would give them: soft grids of full size, with tight boxes."""
    cv2 = opencv()
    hw = masks[0].shape
    corners = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks]
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float32)
    soft = [SoftMask(mask.astype(np.float32), (0.0, 0.0, float(hw[1]), float(hw[0])), (0, 0, hw[1], hw[0])) for mask in masks]
    n = len(masks)
    return Instances(
        boxes=boxes,
        scores=np.linspace(0.9, 0.5, n, dtype=np.float32),
        classes=np.array(classes or [0] * n, np.int64),
        masks=SoftMasks(tuple(soft), hw),
        track_ids=np.arange(10, 10 + n),
        image_hw=hw,
    )


def _iou(a: BoolArray, b: BoolArray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def _square(x: int, y: int, side: int, hw: tuple[int, int] = HW) -> BoolArray:
    mask = np.zeros(hw, bool)
    mask[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)] = True
    return mask


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-2, 4), (6, -3)])
def test_a_flow_says_where_the_surface_went(name: str, shift: tuple[int, int]) -> None:
    """In pixels of the pictures, x before y, from the source to the target."""
    grey = _texture(0)[..., 0]

    flow = FLOWS[name]()(np.ascontiguousarray(grey), np.ascontiguousarray(_moved(_texture(0), *shift)[..., 0]))

    inner = flow[20:-20, 20:-20]
    assert np.median(np.abs(inner - shift)) < 0.3


def test_the_estimator_needs_two_frames_of_one_size() -> None:
    """None for the first, after a change of size, and after a reset."""
    estimator = MotionEstimator()
    big, small = Frame(_texture(0)), Frame(_texture(0, (96, 128)))

    assert [estimator.update(frame) is None for frame in (big, big, small, small, big)] == [True, False, True, False, True]
    estimator.reset()
    assert estimator.update(big) is None


def test_a_trail_composes_what_moved() -> None:
    """Ten steps of two pixels are twenty, back to the anchor, and shift is the part of the shorter side."""
    trail = _trail([_moved(_texture(1), 2 * step, 0) for step in range(11)])

    rows, columns = trail.backward.shape[:2]
    inner = trail.backward[rows // 4 : -rows // 4, columns // 4 : -columns // 8]
    assert len(trail) == 10
    # Within a third of a pixel a step, which is a twelfth of a cell.
    np.testing.assert_allclose(np.median(inner[..., 0]) * HW[1] / columns, -20, atol=3.3)
    assert trail.shift == pytest.approx(20 / HW[0], rel=0.3)


def test_two_trails_share_motions_and_keep_their_anchors() -> None:
    """One for the key frame, one for what later frames are propagated from."""
    estimator, early, late = MotionEstimator(), Trail(), Trail()
    for step in range(7):
        motion = estimator.update(Frame(_moved(_texture(2), 3 * step, 0)))
        if motion is not None:
            early.add(motion)
            if step > 3:
                late.add(motion)

    assert (len(early), len(late)) == (6, 3)
    assert early.shift == pytest.approx(2 * late.shift, rel=0.3)


def test_frames_of_another_size_do_not_follow() -> None:
    """A trail through them would mean nothing."""
    trail = _trail([_texture(0), _texture(0)])
    estimator = MotionEstimator()
    estimator.update(Frame(_texture(0, (96, 128))))
    motion = estimator.update(Frame(_texture(0, (96, 128))))

    with pytest.raises(ValueError, match="cannot go on with"):
        trail.add(motion)


@pytest.mark.parametrize(
    ("pictures", "low", "high"),
    [
        ([_texture(3)] * 4, 0.0, 0.02),
        ([np.zeros((*HW, 3), np.uint8)] * 4, 0.0, 0.02),
        ([_texture(3), _texture(4)], 0.6, 1.0),
        ([_texture(3), _moved(_texture(3), 2, 1)], 0.0, 0.2),
        ([_texture(3), _texture(3), np.zeros((*HW, 3), np.uint8)], 0.6, 1.0),
    ],
    ids=["repeated", "black", "scene_cut", "moved", "went_black"],
)
def test_unexplained_tells_another_scene_from_the_same(pictures: list[U8Array], low: float, high: float) -> None:
    """Nearly nothing is new in a picture that stays or moves a little, nearly everything past a cut."""
    assert low <= _trail(pictures).unexplained <= high


def test_noise_is_not_new_content() -> None:
    """The grain of a sensor explains itself."""
    chance = np.random.default_rng(0)
    noisy = [np.clip(_texture(5).astype(np.int16) + chance.normal(0, 5, (*HW, 3)), 0, 255).astype(np.uint8) for _ in range(5)]

    assert _trail(noisy).unexplained < 0.1


def test_the_composed_flow_of_scenes_is_nearer_to_the_exact_one_than_none() -> None:
    """Over four frames, where the anchor shows the surface; the grid is coarse, so objects' own motion is found by alignment."""
    errors, lengths = [], []
    for scene in SCENES:
        trail, exact = _trail([scene.render(index) for index in range(20, 25)]), scene.flow(24, 20)
        rows, columns = trail.backward.shape[:2]
        flow = opencv().resize(trail.backward, exact.image_hw[::-1]) * np.array([640 / columns, 360 / rows], np.float32)
        errors.append(np.median(np.linalg.norm(flow - exact.displacement, axis=2)[exact.visible]))
        lengths.append(np.median(np.linalg.norm(exact.displacement, axis=2)[exact.visible]))
        assert trail.reliable.mean() > 0.7

    assert np.mean(errors) < 0.75 * np.mean(lengths)


def test_with_an_empty_trail_nothing_changes() -> None:
    """The anchor's own result."""
    found = _instances([_square(50, 40, 40)])
    panoptic = Panoptic(np.ones(HW, np.int32), (Segment(1, 0, is_thing=False, score=1.0, area=HW[0] * HW[1]),))

    assert propagate(found, Trail()) is found
    assert propagate_panoptic(panoptic, Trail()) is panoptic


def _pasted(step: int) -> U8Array:
    """A textured square that moves four pixels right and two down a frame in front of a still picture."""
    picture = _texture(6)
    picture[40 + 2 * step : 88 + 2 * step, 60 + 4 * step : 108 + 4 * step] = _texture(7)[60:108, 60:108]
    return picture


def test_boxes_and_masks_move_with_their_object() -> None:
    """Five frames on; ids and classes stay, the score has fallen a little."""
    found = _instances([_square(60, 40, 48)], [3])

    moved = propagate(found, _trail([_pasted(step) for step in range(6)]))

    np.testing.assert_allclose(moved.boxes, [[80, 50, 128, 98]], atol=2)
    assert _iou(moved.masks.paste(0), _square(80, 50, 48)) > 0.93
    assert (moved.classes.tolist(), moved.track_ids.tolist()) == ([3], [10])
    assert 0.5 < moved.scores[0] < found.scores[0]


def test_scores_at_or_below_the_threshold_are_gone() -> None:
    """The threshold is strict, as for a graph's results."""
    trail, found = _trail([_pasted(0), _pasted(1)]), _instances([_square(60, 40, 48)])
    score = float(propagate(found, trail).scores[0])

    assert len(propagate(found, trail, score)) == 0
    assert len(propagate(found, trail, score - 1e-3)) == 1


def test_what_leaves_the_picture_is_dropped() -> None:
    """The rest stays, in descending order of score."""
    pictures = [_moved(_texture(8), 12 * step, 0) for step in range(8)]
    found = _instances([_square(270, 60, 36), _square(40, 60, 36)])

    moved = propagate(found, _trail(pictures))

    assert moved.track_ids.tolist() == [11]
    np.testing.assert_allclose(moved.boxes[0, 0], 40 + 84, atol=4)


def test_nothing_survives_a_scene_cut() -> None:
    """Neither instances nor segments."""
    trail = _trail([_pasted(0), _texture(9)])
    panoptic = Panoptic(_square(60, 40, 48).astype(np.int32), (Segment(1, 0, is_thing=True, score=1.0, area=48**2),))

    assert len(propagate(_instances([_square(60, 40, 48)]), trail)) == 0
    assert propagate_panoptic(panoptic, trail).segments == ()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_true_masks_stay_true(scene: Scene) -> None:
    """Moved over four frames they fit the true ones far better than when left where they were."""
    truth, later = scene.truth(20), scene.truth(24)
    seen_later = dict(zip(later.ids.tolist(), later.visible_fraction.tolist(), strict=True))
    # What comes out from behind another object cannot be known from the anchor.
    seen = [(k, float(truth.visible_fraction[k]), seen_later.get(int(truth.ids[k]), 9.0)) for k in range(len(truth))]
    kept = [k for k, now, then in seen if now > 0.3 and then < 1.1 * now]
    found = _instances([truth.visible(k) for k in kept])

    moved = propagate(found, _trail([scene.render(index) for index in range(20, 25)]))

    wanted = {10 + n: later.visible(int(np.flatnonzero(later.ids == truth.ids[k])[0])) for n, k in enumerate(kept)}
    fit = [_iou(moved.masks.paste(i), wanted[track_id]) for i, track_id in enumerate(moved.track_ids.tolist())]
    still = [_iou(found.masks.paste(n), wanted[10 + n]) for n in range(len(kept))]
    assert len(fit) >= len(kept) - 1
    assert np.median(fit) > 0.9
    assert np.mean(fit) > np.mean(still)


def test_a_panoptic_map_moves_with_its_thing() -> None:
    """The stuff behind stays and fills what the thing uncovers; areas are counted anew and add up."""
    ids = np.full(HW, 1, np.int32)
    ids[_square(60, 40, 48)] = 2
    segments = (Segment(1, 5, is_thing=False, score=0.9, area=HW[0] * HW[1] - 48**2), Segment(2, 0, is_thing=True, score=0.8, area=48**2))

    moved = propagate_panoptic(Panoptic(ids, segments), _trail([_pasted(step) for step in range(6)]))

    assert _iou(moved.ids == 2, _square(80, 50, 48)) > 0.9
    assert [(segment.id, segment.class_id, segment.area) for segment in moved.segments] == [
        (2, 0, int((moved.ids == 2).sum())),
        (1, 5, int((moved.ids == 1).sum())),
    ]
    assert sum(segment.area for segment in moved.segments) == HW[0] * HW[1]
