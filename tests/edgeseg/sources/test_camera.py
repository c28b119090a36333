"""Cameras, with a made-up device in place of a real one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.sources import camera


class Device:
    """What OpenCV gives for a camera: three pictures, then nothing."""

    opened: list[object]
    present = True

    def __init__(self, index):
        Device.opened.append(index)
        self._left = 3
        self._open = Device.present

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self._open

    def get(self, _what):
        return 30.0

    def read(self):
        self._left -= 1
        return (True, np.zeros((4, 6, 3), np.uint8)) if self._left >= 0 else (False, None)

    def release(self):
        self._open = False


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """Every camera index leads to the made-up device."""
    Device.opened = []
    monkeypatch.setattr(camera, "opencv", lambda: SimpleNamespace(VideoCapture=Device, CAP_PROP_FPS=5))
    return Device


@pytest.mark.parametrize(("text", "index"), [("0", 0), ("12", 12), ("/dev/video3", 3)])
def test_index_and_device_name_open_that_camera(text, index):
    """A number and a device file both name a camera."""
    assert camera.matches(text)
    camera.CameraSource(text).close()

    assert Device.opened == [index]


@pytest.mark.parametrize("text", ["", "-1", "video.mp4", "/dev/null", "1.5", "20260101"])
def test_other_names_are_no_cameras(text):
    """File names, even ones that are long numbers, are left to other sources."""
    assert not camera.matches(text)


def test_frames_count_up_and_a_lost_camera_is_an_error():
    """Frames come as long as the camera gives them; when it stops, that is no silent end."""
    frames = []

    with camera.CameraSource("0") as source, pytest.raises(SourceError, match="gave no picture at frame 3"):
        frames.extend(frame for frame in source)
    frames_then = list(source)

    assert frames_then == []
    assert (source.info.fps, source.info.frame_count) == (30.0, None)


def test_first_frame_is_at_time_zero():
    """Times within the stream start at its first frame."""
    with camera.CameraSource("0") as source:
        frame = next(iter(source))

    assert (frame.index, frame.time_s, frame.image_hw) == (0, 0.0, (4, 6))


def test_missing_camera_is_an_error(device, monkeypatch):
    """A camera that cannot be opened is an error that lists those there are."""
    monkeypatch.setattr(device, "present", False)

    with pytest.raises(SourceError, match=r"camera 5 cannot be opened. Cameras that this machine shows: "):
        camera.CameraSource("5")
