"""From frames to motions, with every optical flow that there is."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.motion import FLOWS, Motion, MotionEstimator
from edgeseg.motion.picture import Picture
from edgeseg.types import Frame


class Told:
    """A flow that is told in advance, and counts how often it is asked."""

    name = "told"

    def __init__(self, flow):
        self.flow = flow
        self.asked = 0

    def __call__(self, source, target):
        assert source.shape == target.shape
        self.asked += 1
        return np.broadcast_to(np.float32(self.flow), (*source.shape, 2)).copy()


@pytest.fixture(params=sorted(FLOWS))
def flow(request):
    """Each optical flow in turn."""
    return FLOWS[request.param]()


def test_flow_has_the_name_it_is_listed_under(flow):
    """The table's key and the flow's own name are one."""
    assert FLOWS[flow.name] is type(flow)


@pytest.mark.parametrize("shape", [(16, 16), (45, 80), (80, 45), (16, 80), (90, 160)])
def test_flow_of_a_picture_to_itself_is_zero(flow, shape):
    """Nothing moves between two copies of one picture; the result has the contract's shape and type."""
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    found = flow(picture, picture.copy())

    assert found.dtype == np.float32
    assert found.shape == (*shape, 2)
    np.testing.assert_allclose(found, 0, atol=0.05)


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (-2, 3)])
def test_flow_finds_a_shift_and_its_way_back(flow, texture, shift):
    """A flow leads from a surface in the source to the same surface in the target."""
    whole = texture(4, (105, 180))[..., 0]
    source, target = whole[8:-7, 10:-10], np.roll(whole, (shift[1], shift[0]), (0, 1))[8:-7, 10:-10]

    there, back = flow(source, target), flow(target, source)

    np.testing.assert_allclose(there[10:-10, 10:-10].mean(axis=(0, 1)), shift, atol=0.25)
    np.testing.assert_allclose(back[10:-10, 10:-10].mean(axis=(0, 1)), np.negative(shift), atol=0.25)


def test_flow_leaves_its_pictures_alone(flow, texture):
    """Source and target are not written to."""
    first, second = texture(1, (45, 80))[..., 0], texture(2, (45, 80))[..., 0]
    kept = first.copy(), second.copy()

    flow(first, second)

    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(second, kept[1])


def test_motion_begins_with_the_second_frame_of_a_size(texture):
    """The first frame, the first after a change of size and the first after a reset have no motion."""
    estimator = MotionEstimator()
    large, small = Frame(texture(0, (180, 320))), Frame(texture(0, (90, 160)))

    motions = [estimator.update(frame) for frame in (large, large, small, small, large)]
    estimator.reset()

    assert [motion is not None for motion in motions] == [False, True, False, True, False]
    assert estimator.update(large) is None
    assert motions[1].image_hw == (180, 320)


def test_motion_leads_from_the_newer_frame_to_the_older(texture):
    """A picture that moved right by 8 pixels, a tenth of a cell each, is found 8 pixels to the left in the older frame."""
    whole = texture(5, (360, 680))
    estimator = MotionEstimator()
    estimator.update(Frame(whole[:, 40:]))

    motion = estimator.update(Frame(np.ascontiguousarray(whole[:, 32:-8])))

    assert motion.backward.shape == (45, 80, 2)
    cell = 640 / 80
    np.testing.assert_allclose(motion.backward[6:-6, 10:-10].mean(axis=(0, 1)) * cell, [-8, 0], atol=1.0)
    assert motion.shift == pytest.approx(8 / 360, rel=0.2)
    assert motion.unexplained < 0.1
    assert not motion.cut


def test_second_flow_is_measured_only_when_asked_for(texture):
    """The cheap measures need one flow; forward-backward consistency needs one more, once."""
    told = Told((0, 0))
    estimator = MotionEstimator(told)
    estimator.update(Frame(texture()))
    motion = estimator.update(Frame(texture()))

    assert (motion.shift, motion.unexplained, motion.cut) == (0, 0, False)
    assert told.asked == 1
    assert motion.consistent.all()
    assert motion.consistent.all()
    assert told.asked == 2


def test_flow_that_does_not_return_is_not_consistent(texture):
    """A flow that leads two cells on in both directions misses its start by four."""
    estimator = MotionEstimator(Told((2, 0)))
    estimator.update(Frame(texture()))

    assert not estimator.update(Frame(texture())).consistent.any()


def test_scene_cut_and_black_frames_have_no_motion(texture):
    """Where a frame shows something else altogether, all counts as unexplained and nothing as moved."""
    estimator = MotionEstimator(Told((1, 0)))
    black = np.zeros_like(texture())
    motions = [estimator.update(Frame(pixels)) for pixels in (texture(0), texture(1), black, black, texture(1))]

    assert [motion.cut for motion in motions[1:]] == [True, True, False, True]
    assert all(motion.shift == 0 for motion in motions[1:] if motion.cut)
    assert motions[2].unexplained > 0.95
    assert motions[3].unexplained < 0.05


@pytest.mark.parametrize("sigma", [0, 4])
def test_noise_is_explained(texture, sigma):
    """Sensor noise neither moves a picture nor makes it new."""
    rng = np.random.default_rng(0)
    estimator = MotionEstimator()
    clean = texture(0, (360, 640))
    for _ in range(3):
        motion = estimator.update(Frame(np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)))

    assert motion.unexplained < 0.02
    assert motion.shift < 0.002


def test_motion_checks_its_shapes(texture):
    """A flow of another grid, and frames of two sizes, are refused."""
    picture, other = Picture.of(texture()), Picture.of(texture(0, (90, 160)))
    with pytest.raises(ValueError, match="a motion needs"):
        Motion(np.zeros((5, 5, 2), np.float32), picture, picture, Told(0))
    with pytest.raises(ValueError, match="a motion needs"):
        Motion(np.zeros((45, 80, 2), np.float32), picture, other, Told(0))
