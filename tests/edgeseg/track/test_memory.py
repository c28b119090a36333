"""What a track remembers."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.track.affine import shift
from edgeseg.track.grid import grid_of
from edgeseg.track.memory import Track, draw, expect

HW = (90, 160)


@pytest.fixture
def box_track(make_instances):
    """A function that begins a track on a box; its mask is the box."""

    def make(x1, y1, x2, y2):
        mask = np.zeros(HW, bool)
        mask[y1:y2, x1:x2] = True
        return Track.begin(3, make_instances([mask], [0.8], [1]), 0, np.array([1, 0], np.float32))

    return make


def test_velocity_settles_on_the_motion(box_track):
    """Seen at a steady speed, a track expects that speed."""
    track = box_track(10, 10, 30, 30)

    for step in range(1, 15):
        track.see(np.array([10, 10, 30, 30], np.float32) + np.array([2, 1, 2, 1], np.float32) * step, track.mask)

    assert track.velocity == pytest.approx([2, 1], abs=0.01)


def test_velocity_is_known_from_the_second_frame_on(box_track):
    """The first step alone gives the speed; later ones are averaged."""
    track = box_track(10, 10, 30, 30)

    track.see(np.array([18, 10, 38, 30], np.float32), track.mask)

    assert track.velocity.tolist() == [8, 0]


def test_shrinking_box_says_nothing_about_speed(box_track):
    """While an object goes behind something its box moves too slowly; the speed from before is kept, and its size."""
    track = box_track(10, 10, 30, 30)
    track.velocity, track.hits = np.array([1, 0], np.float32), 5

    for left in range(11, 30):
        track.see(np.array([left, 10, 30, 30], np.float32), track.mask)

    assert track.velocity[0] > 0.65
    assert track.extent > 16


def test_hidden_track_goes_on_and_slows_down(box_track):
    """Out of sight a track keeps moving, a little less each frame."""
    track = box_track(10, 10, 30, 30)
    track.velocity = np.array([4, 0], np.float32)

    places = []
    for _ in range(3):
        track.hide()
        places.append(float(track.box[0]))

    assert track.mask is None
    assert 14 == places[0] < places[1] < places[2] < 22


def test_confirmation_renews_what_is_known(box_track, make_instances):
    """Found again, a track is fresh, has the new score and looks a little more like what was found; no look changes nothing."""
    track = box_track(10, 10, 30, 30)
    track.unseen = 4
    mask = np.zeros(HW, bool)
    mask[12:32, 12:32] = True

    track.confirm(make_instances([mask], [0.6]), 0, np.array([0, 1], np.float32))

    assert (track.unseen, track.hits, track.score) == (0, 2, pytest.approx(0.6))
    assert track.look == pytest.approx(np.array([0.8, 0.2]) / np.hypot(0.8, 0.2))
    assert track.box.tolist() == [12, 12, 32, 32]
    before = track.look
    track.confirm(make_instances([mask], [0.6]), 0, np.zeros(2, np.float32))
    assert track.look is before


def test_expected_mask_is_the_shifted_mask(box_track):
    """On a grid of whole pixels the expected cells are the mask's, shifted; a track out of sight has a box only."""
    grid = grid_of(HW)
    seen, hidden = box_track(10, 10, 30, 30), box_track(10, 10, 30, 30)
    hidden.mask = None

    expected = [expect(track, shift(np.array([5, -3], np.float32)), grid) for track in (seen, hidden)]

    drawn = draw(expected, grid).reshape(2, *HW)
    wanted = np.zeros(HW)
    wanted[7:27, 15:35] = 1
    np.testing.assert_array_equal(drawn[0], wanted)
    assert not drawn[1].any()
    assert [one.box.tolist() for one in expected] == [[15, 7, 35, 27]] * 2
