"""The synthetic source: pictures and truth agree with each other, and any frame can be had on its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeseg.sources.synthetic import LABELS, Scene, SceneConfig, SceneTruth, are_of_scenes, classes_in
from edgeseg.sources.synthetic.truth import Layer
from edgeseg.types import AnyArray, BoolArray, F64Array

SMALL = (96, 128)


def _scene(seed: int = 0, **options: object) -> Scene:
    return Scene(SceneConfig(seed=seed, size_hw=SMALL, **options))  # type: ignore[arg-type]


def _truths(seeds: int = 6) -> list[SceneTruth]:
    return [_scene(seed).truth(index) for seed in range(seeds) for index in (0, 40)]


def _interior(mask: BoolArray) -> BoolArray:
    return cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0).astype(bool)


def _touches_border(mask: BoolArray) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def _centre(layer: Layer) -> F64Array:
    """x, y in picture pixels, to a fraction of a pixel thanks to the soft edge."""
    rows, columns = np.indices(layer.alpha.shape)
    return np.array([layer.x + np.average(columns, weights=layer.alpha), layer.y + np.average(rows, weights=layer.alpha)])


def _sample(image: AnyArray, flow: AnyArray, interpolation: int) -> AnyArray:
    """``image`` of the next frame, read where ``flow`` says that each pixel of this frame goes."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    return cv2.remap(image, columns + flow[..., 0], rows + flow[..., 1], interpolation, borderValue=-1)


def test_frames_can_be_asked_for_in_any_order() -> None:
    """A frame and its truth depend on the config and the index only, not on what was rendered before."""
    forward, backward = _scene(3), _scene(3)
    pictures = [forward.render(index) for index in range(6)]
    for index in (5, 0, 3):
        assert np.array_equal(backward.render(index), pictures[index])
        assert np.array_equal(backward.truth(index).instance_ids, forward.truth(index).instance_ids)
        assert np.array_equal(backward.truth(index).forward_flow, forward.truth(index).forward_flow)


def test_truth_before_render_gives_the_same_as_after() -> None:
    """The layers kept from the last frame are those of that frame."""
    scene = _scene(1)
    scene.render(7)
    ids = scene.truth(8).instance_ids
    assert np.array_equal(ids, _scene(1).truth(8).instance_ids)
    assert not np.array_equal(ids, scene.truth(7).instance_ids)


def test_seeds_and_frames_differ() -> None:
    """Another seed is another landscape; the next frame is moved and has fresh noise."""
    first, second = _scene(0).render(0).astype(int), _scene(1).render(0).astype(int)
    assert np.abs(first - second).mean() > 10
    assert not np.array_equal(first, _scene(0).render(1))


def test_labels_name_things_then_stuff() -> None:
    """Class ids index the labels: things come first, category ids count from 1."""
    labels = _scene().labels
    assert [label.category_id for label in labels] == list(range(1, 11))
    assert [label.is_thing for label in labels] == [True] * 6 + [False] * 4
    assert len({label.name for label in labels}) == 10


def test_all_things_and_stuff_occur() -> None:
    """Every class turns up within a few scenes, things as instances and stuff in the stuff map."""
    truths = [_scene(seed).truth(0) for seed in range(12)]
    assert {int(c) for truth in truths for c in truth.classes} == set(range(6))
    assert {int(c) for truth in truths for c in np.unique(truth.stuff)} == set(range(6, 10))


def test_stuff_is_not_blended() -> None:
    """Where two kinds of stuff meet there is no third one whose number lies between theirs."""
    kinds = [np.unique(_scene(seed).truth(30).stuff) for seed in range(12)]
    assert any((np.diff(found) > 1).any() for found in kinds)


def test_visible_masks_make_up_the_id_map() -> None:
    """Each visible mask is a part of its amodal mask, is not empty, and together they are the id map."""
    for truth in _truths():
        total = np.zeros(truth.image_hw, np.int32)
        for k in range(len(truth)):
            visible = truth.visible(k)
            assert visible.any()
            assert not (visible & ~truth.amodal(k)).any()
            total[visible] += truth.ids[k]
        assert np.array_equal(total, truth.instance_ids)
        assert len(set(truth.ids.tolist())) == len(truth)
        assert 0 not in truth.ids


def test_nearer_objects_hide_farther_ones() -> None:
    """Where objects overlap, the pixel belongs to the one of the highest order, and some objects do overlap."""
    overlapping = 0
    for truth in _truths(10):
        painted, cover = np.zeros(truth.image_hw, np.int32), np.zeros(truth.image_hw, int)
        for k in np.argsort(truth.order):
            painted[truth.amodal(k)] = truth.ids[k]
            cover += truth.amodal(k)
        overlapping += int((cover > 1).sum())
        assert np.array_equal(painted, truth.instance_ids)
    assert overlapping > 200


def test_boxes_are_tight() -> None:
    """A box goes from the first column and row of the visible mask to one past the last."""
    for truth in _truths():
        for k in range(len(truth)):
            rows, columns = np.nonzero(truth.visible(k))
            assert truth.boxes[k].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_visible_fraction_is_of_the_whole_object() -> None:
    """Objects inside the picture show visible over amodal pixels; of those cut by the border the part outside counts as hidden."""
    inside, outside, occluded = 0, 0, 0
    for truth in _truths(20):
        for k in range(len(truth)):
            amodal, visible = truth.amodal(k), truth.visible(k)
            of_picture = visible.sum() / amodal.sum()
            if amodal.sum() < 100:
                continue
            if _touches_border(amodal):
                outside += truth.visible_fraction[k] < of_picture - 0.2
                assert truth.visible_fraction[k] < of_picture + 0.05
            else:
                inside += 1
                occluded += of_picture < 0.8
                assert truth.visible_fraction[k] == pytest.approx(of_picture, abs=0.05)
    assert min(inside, outside, occluded) > 5


def test_flow_moves_an_object_onto_its_next_mask() -> None:
    """The centre of what an object covers, moved by the object's step, is the centre of what it covers in the next frame."""
    checked = 0
    for seed in range(5):
        scene = Scene(SceneConfig(seed=seed, size_hw=(240, 320), fps=5.0))
        now, after = scene.truth(12), scene.truth(13)
        for k, j in ((k, j) for k in range(len(now)) for j in range(len(after)) if now.ids[k] == after.ids[j]):
            masks = now.amodal(k), after.amodal(j)
            if min(mask.sum() for mask in masks) < 300 or any(_touches_border(mask) for mask in masks):
                continue
            moved = now.steps[k + 1] @ [*_centre(now.layers[k]), 1.0]
            assert np.abs(moved - _centre(after.layers[j])).max() < 0.1
            rows, columns = np.nonzero(now.visible(k))
            points = np.stack([columns, rows, np.ones_like(rows)])
            assert np.allclose(now.forward_flow[rows, columns].T, (now.steps[k + 1] @ points) - points[:2], atol=1e-4)
            checked += 1
    assert checked > 10


def test_flow_brings_the_next_picture_back() -> None:
    """With noise off, the next picture read along the flow equals this one, inside objects and in the landscape."""
    for seed in range(4):
        scene = Scene(SceneConfig(seed=seed, size_hw=(180, 240), fps=5.0, noise=0.0, blur=0.0))
        now, after = scene.truth(20), scene.truth(21)
        picture, following = scene.render(20).astype(np.float32), scene.render(21).astype(np.float32)
        found = _sample(after.instance_ids.astype(np.float32), now.forward_flow, cv2.INTER_NEAREST)
        back = _sample(following, now.forward_flow, cv2.INTER_LINEAR)
        for region in (now.instance_ids > 0, now.instance_ids == 0):
            sure = _interior(region) & (found == now.instance_ids)
            left = np.abs(back - picture)[sure].mean()
            assert left < 3.5
            assert left < 0.4 * np.abs(following - picture)[sure].mean()


def test_stuff_moves_with_the_landscape() -> None:
    """The stuff map of a later frame, read along the landscape's motion, is this frame's but for rounding at the borders."""
    scene = _scene(2, fps=0.5)
    now, after = scene.truth(3), scene.truth(4)
    found = _sample(after.stuff.astype(np.float32), now.forward_flow, cv2.INTER_NEAREST)
    known = (found >= 0) & (now.instance_ids == 0)
    moved, still = (found != now.stuff)[known].mean(), (after.stuff != now.stuff)[known].mean()
    assert still > 0.02
    assert moved < 0.2 * still


def test_ids_last_from_entering_to_leaving() -> None:
    """An id keeps its class, and comes and goes at the border or behind another object, never in full view."""
    scene = _scene(5)
    classes: dict[int, int] = {}
    before: dict[int, float] = {}
    arrivals = 0
    for index in range(500):
        truth = scene.truth(index)
        now = {int(i): float(fraction) for i, fraction in zip(truth.ids, truth.visible_fraction, strict=True)}
        for i, class_id in zip(truth.ids.tolist(), truth.classes.tolist(), strict=True):
            assert classes.setdefault(i, class_id) == class_id
        if index:
            assert all(now[i] < 0.5 for i in now.keys() - before.keys())
            assert all(before[i] < 0.5 for i in before.keys() - now.keys())
            arrivals += len(now.keys() - before.keys())
        before = now
    assert arrivals > 3
    assert max(classes) > 10


def test_noise_is_fresh_in_every_frame() -> None:
    """The grain of one frame has nothing to do with that of the next."""
    grain = [_scene(4, noise=9.0, blur=0.0).render(i).astype(float) - _scene(4, noise=0.0, blur=0.0).render(i) for i in (0, 1)]
    assert abs(np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1]) < 0.1


def test_noise_and_blur_can_be_turned_off() -> None:
    """Without them a picture is what the layers give; with them it differs by about the noise asked for."""
    clean = _scene(4, noise=0.0, blur=0.0).render(0).astype(float)
    noisy = _scene(4, noise=20.0, blur=0.0).render(0).astype(float)
    inside = (clean > 60) & (clean < 195)
    assert 3.0 < (noisy - clean)[inside].std() < 21.0
    assert abs((noisy - clean)[inside].mean()) < 0.5
    blurred = _scene(4, noise=0.0, blur=0.03).render(0).astype(float)
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.95 * np.abs(np.diff(clean, axis=1)).mean()


@pytest.mark.parametrize("size_hw", [(64, 64), (48, 200), (150, 40)])
def test_any_size(size_hw: tuple[int, int]) -> None:
    """Pictures, maps and flow have the size asked for, wide or tall, and the landscape fills the picture at all times."""
    scene = Scene(SceneConfig(seed=6, size_hw=size_hw, noise=0.0))
    for index in (0, 333, 100_000):
        truth = scene.truth(index)
        assert scene.render(index).shape == (*size_hw, 3)
        assert truth.instance_ids.shape == truth.stuff.shape == truth.forward_flow.shape[:2] == size_hw
        assert scene.render(index).max(axis=2).min() > 0


def test_a_scene_without_objects() -> None:
    """Zero objects leave the landscape and empty columns."""
    truth = _scene(0, min_objects=0, max_objects=0).truth(0)
    assert len(truth) == 0
    assert truth.boxes.shape == (0, 4)
    assert not truth.instance_ids.any()
    assert np.abs(truth.forward_flow).max() > 0


def test_a_frame_before_the_first_is_refused() -> None:
    """Frames are numbered from 0."""
    with pytest.raises(IndexError, match="-1"):
        _scene().render(-1)


def test_panoptic_truth_is_the_scene_pixel_by_pixel() -> None:
    """Each pixel has the id and class of the instance or stuff seen there; slivers are void; ids last from frame to frame."""
    scene, kinds = Scene(SceneConfig(seed=3)), {}
    for index in (0, 1, 40):
        exact = scene.truth(index)
        got = exact.panoptic(0.15)
        hidden = set(exact.ids[exact.visible_fraction < 0.15].tolist())
        for y, x in np.argwhere(np.ones(exact.image_hw, bool))[::997].tolist():
            instance, number = int(exact.instance_ids[y, x]), int(got.ids[y, x])
            if instance in hidden:
                assert number == 0
            elif instance:
                assert got.segments[number].class_id == exact.classes[exact.ids.tolist().index(instance)]
            else:
                assert got.segments[number].class_id == exact.stuff[y, x]
        assert set(np.unique(got.ids).tolist()) - {0} == set(got.segments)
        assert not any(kinds.setdefault(number, segment) != segment for number, segment in got.segments.items())
        assert set(np.unique(exact.panoptic().ids).tolist()).isdisjoint({0})


def test_classes_are_found_in_the_labels_of_a_panoptic_model() -> None:
    """Stuff may come first there; a model of things alone lacks the stuff; other orders and other names are other classes."""
    things, stuff = (tuple(label for label in LABELS if label.is_thing is wanted) for wanted in (True, False))

    assert [are_of_scenes(labels) for labels in (things, LABELS, stuff + things, things[::-1], stuff)] == [True, True, True, False, False]
    assert classes_in(stuff + things) == dict(enumerate([4, 5, 6, 7, 8, 9, 0, 1, 2, 3]))
    assert classes_in(things) == dict(enumerate(range(6)))
    truth = Scene(SceneConfig(seed=3)).truth(0).panoptic().in_classes(classes_in(stuff + things))
    assert {(stuff + things)[one.class_id].is_thing for number, one in truth.segments.items() if number > 100} == {True}
    alone = Scene(SceneConfig(seed=3)).truth(0).panoptic().in_classes(classes_in(things))
    assert set(np.unique(alone.ids).tolist()) - {0} == set(alone.segments) == {number for number in truth.segments if number > 100}
