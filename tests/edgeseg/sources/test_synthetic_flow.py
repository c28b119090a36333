"""The exact flow between any two frames of a synthetic scene."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeseg.sources.synthetic import Scene, SceneConfig, SceneFlow
from edgeseg.types import AnyArray, BoolArray


def _scene(seed: int, **options: object) -> Scene:
    return Scene(SceneConfig(seed=seed, size_hw=(96, 128), **options))  # type: ignore[arg-type]


def _read_along(image: AnyArray, flow: AnyArray, interpolation: int) -> AnyArray:
    rows, columns = np.indices(flow.shape[:2], np.float32)
    return cv2.remap(image, columns + flow[..., 0], rows + flow[..., 1], interpolation, borderValue=-1)


def _interior(mask: BoolArray) -> BoolArray:
    return cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0).astype(bool)


@pytest.mark.parametrize("index", [0, 17])
def test_flow_to_the_next_frame_is_the_truths(index: int) -> None:
    """Bit for bit, wherever the object lasts."""
    scene = _scene(3)
    flow = scene.flow(index, index + 1)
    assert flow.exists.all()
    assert np.array_equal(flow.displacement, scene.truth(index).forward_flow)


def test_a_frame_does_not_move_against_itself() -> None:
    """All zero, and all of it is visible."""
    flow = _scene(1).flow(9, 9)
    assert np.abs(flow.displacement).max() < 1e-4
    assert flow.exists.all()
    assert flow.visible.all()


@pytest.mark.parametrize("to", [12, 27, 28])
def test_flow_brings_any_picture_back(to: int) -> None:
    """With noise off, the other picture read along the flow is this one wherever it is visible there, in both directions of time."""
    for seed in range(4):
        scene = Scene(SceneConfig(seed=seed, size_hw=(180, 240), fps=10.0, noise=0.0, blur=0.0))
        here, there = scene.render(20).astype(np.float32), scene.render(to).astype(np.float32)
        flow, now = scene.flow(20, to), scene.truth(20)
        back = _read_along(there, flow.displacement, cv2.INTER_LINEAR)
        for region in (now.instance_ids > 0, now.instance_ids == 0):
            sure = _interior(region & flow.visible)
            left = np.abs(back - here)[sure].mean()
            # Shadows on the landscape are no part of its surface.
            assert left < 5
            assert left < 0.4 * np.abs(there - here)[sure].mean()


def test_one_way_and_back_ends_where_it_began() -> None:
    """The flow there plus the flow back, read at the place reached, is zero for what both frames show."""
    scene = _scene(5)
    there, back = scene.flow(10, 26), scene.flow(26, 10)
    returned = there.displacement + _read_along(back.displacement, there.displacement, cv2.INTER_LINEAR)
    sure = _interior(there.visible & (scene.truth(10).instance_ids == 0))
    assert sure.sum() > 1000
    assert np.abs(returned[sure]).max() < 0.02


@pytest.mark.parametrize(("index", "to"), [(4, 40), (40, 4), (0, 500)])
def test_masks_are_those_of_a_loop_over_pixels(index: int, to: int) -> None:
    """A surface exists if its object is still on the same crossing; it is visible if the nearest pixel to its place has its id."""
    scene = _scene(5)
    flow, ids, then = scene.flow(index, to), scene.truth(index).instance_ids, scene.truth(to).instance_ids
    paths = [actor.path for actor in scene._actors]
    # Ids count objects first, then crossings; 0 is the landscape.
    lasting = {1 + k + len(paths) * path.lap(to / scene.config.fps) for k, path in enumerate(paths)} | {0}
    for row, column in np.ndindex(ids.shape):
        exists = ids[row, column] in lasting
        x, y = np.rint(flow.displacement[row, column] + np.float32([column, row])).astype(int)
        shown = exists and 0 <= x < 128 and 0 <= y < 96 and then[y, x] == ids[row, column]
        assert (flow.exists[row, column], flow.visible[row, column]) == (exists, shown)
        assert exists or not flow.displacement[row, column].any()
    assert flow.exists.all() == (to < 100)


def test_some_surfaces_are_hidden_and_some_objects_end() -> None:
    """Both masks say something: in a long run there is what is hidden then, and what no longer exists."""
    flows = [_scene(seed).flow(index, index + gap) for seed in range(4) for index in (0, 60) for gap in (8, 300)]
    assert any((flow.exists & ~flow.visible).any() for flow in flows)
    assert any((~flow.exists).any() for flow in flows)
    assert not any((flow.visible & ~flow.exists).any() for flow in flows)


def test_flow_does_not_depend_on_what_was_drawn_before() -> None:
    """Frames kept by the scene are those asked for."""
    scene = _scene(2)
    for index in (3, 50, 7, 3):
        scene.render(index)
    wanted, found = _scene(2).flow(50, 7), scene.flow(50, 7)
    assert np.array_equal(found.displacement, wanted.displacement)
    assert np.array_equal(found.visible, wanted.visible)


def test_masks_of_another_size_are_refused() -> None:
    """All three arrays are of one picture."""
    with pytest.raises(ValueError, match="two masks"):
        SceneFlow(np.zeros((4, 6, 2), np.float32), np.ones((4, 6), bool), np.ones((6, 4), bool))
    with pytest.raises(IndexError):
        _scene(0).flow(0, -1)
