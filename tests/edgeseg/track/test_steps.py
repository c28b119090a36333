"""How far tracks have moved, against moves that are known."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.motion import MotionEstimator
from edgeseg.opencv import opencv
from edgeseg.track.affine import back, moved_box, shift
from edgeseg.track.memory import Track
from edgeseg.track.steps import aligned, mean_shift, shifts
from edgeseg.types import Frame


def test_moved_box_goes_where_its_middle_goes():
    """A box is shifted, not turned, by a step that turns and stretches about its middle."""
    angle = 0.3
    turn = 1.2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before, now = np.array([50.0, 40.0]), np.array([53.0, 38.0])
    step = np.concatenate([turn, (before - turn @ now)[:, None]], axis=1).astype(np.float32)

    assert moved_box(step, np.array([40, 35, 60, 45], np.float32)) == pytest.approx([43, 33, 63, 43], abs=1e-3)


def test_back_undoes_a_shift():
    """Points of this frame are where they were before the shift."""
    x, y = back(shift(np.array([4, -2], np.float32)), np.array([[10.0, 11]], np.float32), np.array([[5.0], [6]], np.float32))

    assert x.tolist() == [[6, 7], [6, 7]]
    assert y.tolist() == [[7, 7], [8, 8]]


def motion_of(pictures):
    estimator = MotionEstimator()
    return [estimator.update(Frame(picture)) for picture in pictures][-1]


def backdrop(hw=(180, 320)):
    noise = np.random.default_rng(4).normal(size=hw)
    smooth = opencv().GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 300 * smooth, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def test_flow_of_a_pan_is_found_in_every_box():
    """When the whole picture moves, every box has moved with it; a part of a pixel is missing at most."""
    motion = motion_of([backdrop(), np.roll(backdrop(), (2, 4), axis=(0, 1))])

    for box in ((40, 40, 120, 100), (200, 80, 300, 160), (-40, 60, 60, 110)):
        assert mean_shift(motion, np.array(box, np.float32)) == pytest.approx([4, 2], abs=0.8)


def test_tracks_out_of_sight_go_on_as_before(make_instances):
    """Flow moves what is seen; velocity moves what is hidden, and everything where there is no flow."""
    mask = np.zeros((180, 320), bool)
    mask[60:100, 100:160] = True
    track = dataclasses.replace(Track.begin(0, make_instances([mask], [0.9]), 0, np.zeros(1)), velocity=np.array([-7, 3], np.float32))
    hidden = dataclasses.replace(track, mask=None)
    motion = motion_of([backdrop(), np.roll(backdrop(), (2, 4), axis=(0, 1))])

    seen_step, hidden_step = shifts([track, hidden], motion)

    assert seen_step[:, 2] == pytest.approx([-4, -2], abs=0.8)
    assert hidden_step[:, 2].tolist() == shifts([track], None)[0][:, 2].tolist() == [7, -3]


def test_alignment_finds_an_objects_own_motion(stage, actor, line):
    """The step of each instance leads back along its own path, and only instances with ids have one."""
    script = stage(
        [actor("red", line(60, 60, 3, 1), size=(50, 40)), actor("blue", line(140, 70, -2), size=(44, 40)), actor("green", line(20, 20))]
    )
    (_, found, who, _), (_, _, _, motion) = list(script.play(2))
    ids = np.array([7 + number if number < 2 else -1 for number in who])

    steps = aligned(dataclasses.replace(found, track_ids=ids), motion)

    assert sorted(steps) == [7, 8]
    for number, moved in ((0, (3, 1)), (1, (-2, 0))):
        middle = np.array(script.actors[number].path(1))
        assert steps[7 + number][:, :2] @ middle + steps[7 + number][:, 2] == pytest.approx(middle - moved, abs=0.5)


def test_nothing_to_align(make_instances):
    """Without instances that have ids there are no steps."""
    motion = motion_of([backdrop(), backdrop()])

    assert aligned(make_instances([], []), motion) == {}
    assert aligned(make_instances([np.ones((180, 320), bool)], [0.9]), motion) == {}


def test_impossible_steps_are_left_out(make_instances, monkeypatch):
    """A step by which an object would have become many times larger or smaller is an error of the alignment."""
    masks = [np.ones((180, 320), bool)] * 3
    found = dataclasses.replace(make_instances(masks, [0.9, 0.8, 0.7]), track_ids=np.array([4, 5, 6]))
    back = np.stack([np.diag([size, size])[:, [0, 1, 1]] * [1, 1, 0] for size in (3.0, 1.1, 0.2)])
    monkeypatch.setattr("edgeseg.track.steps.Trail.align", lambda *_: SimpleNamespace(back=back))

    assert list(aligned(found, motion_of([backdrop(), backdrop()]))) == [5]
