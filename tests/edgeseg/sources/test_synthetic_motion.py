"""The motion of the synthetic source: bounded cameras, and objects that come and go out of sight."""

from __future__ import annotations

import numpy as np

from edgeseg.sources.synthetic.motion import Camera, Path, visible_extent


def test_camera_stays_within_what_is_drawn() -> None:
    """The corners of the picture never leave the visible extent, and come near its border."""
    rng, image_hw, nearness = np.random.default_rng(0), (360, 640), 1.3
    corners = np.array([[-0.5, 639.5, -0.5, 639.5], [-0.5, -0.5, 359.5, 359.5], [1, 1, 1, 1]])
    reach = np.zeros(2)
    for _ in range(300):
        camera = Camera.draw(rng)
        for time_s in range(0, 60, 3):
            seen = np.linalg.inv(camera.matrix(float(time_s), image_hw, nearness)) @ corners
            reach = np.maximum(reach, np.abs(seen[:2]).max(axis=1))
    extent = np.array(visible_extent(image_hw, nearness))
    assert (reach <= extent).all()
    assert (reach > extent - 0.11).all()


def test_a_crossing_begins_and_ends_out_of_sight() -> None:
    """Just before and after an object starts its next lap, all of it is outside what the camera can see."""
    rng, extent = np.random.default_rng(1), visible_extent((360, 640), 1.2)
    crossings = [path for path in (Path.draw(rng, 0.2, extent) for _ in range(60)) if path.speed]
    assert len(crossings) > 15
    for path in crossings:
        turn_s = (path.length - path.offset) / path.speed
        for time_s in (turn_s - 1e-6, turn_s + 1e-6):
            matrix = path.matrix(time_s)
            half = np.linalg.norm(matrix[:2, :2], axis=1)
            assert (np.abs(matrix[:2, 2]) - half > extent).any()
        assert path.lap(turn_s - 1e-6) == 0
        assert path.lap(turn_s + 1e-6) == 1
