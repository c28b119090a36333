"""Cameras by index and device file, with a made-up OpenCV in place of the real one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeseg.errors import SourceError
from edgeseg.sources import camera, capture


class Device:
    """What OpenCV gives for a camera."""

    opened: list[object]
    present = True

    def __init__(self, index, _backend):
        Device.opened.append(index)

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return Device.present

    def get(self, _what):
        return 30.0

    def release(self):
        pass


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """Every camera index leads to the made-up device."""
    Device.opened = []
    monkeypatch.setattr(capture, "opencv", lambda: SimpleNamespace(VideoCapture=Device, CAP_PROP_FPS=5, CAP_ANY=0))
    return Device


@pytest.mark.parametrize(("text", "index"), [("0", 0), ("12", 12), ("/dev/video3", 3)])
def test_index_and_device_name_open_that_camera(device, text, index):
    """A number and a device file both name a camera."""
    assert camera.matches(text)

    opened = camera.CameraCapture(text)
    assert (opened.name, opened.open(), device.opened) == (f"camera {text}", 30.0, [index])


@pytest.mark.parametrize("text", ["", "-1", "video.mp4", "/dev/null", "1.5", "20260101"])
def test_other_names_are_no_cameras(text):
    """File names, even ones that are long numbers, are left to other sources."""
    assert not camera.matches(text)


def test_missing_camera_is_an_error(device, monkeypatch):
    """A camera that cannot be opened is an error that lists those there are."""
    monkeypatch.setattr(device, "present", False)

    with pytest.raises(SourceError, match=r"camera 5 cannot be opened. Cameras that this machine shows: "):
        camera.CameraCapture("5").open()


def test_a_link_is_followed_each_time_it_is_opened(device, monkeypatch):
    """A camera that was plugged in again is found under its new number."""
    numbers = iter([2, 4])
    opened = camera.CameraCapture("/dev/v4l/by-id/usb-it")
    monkeypatch.setattr(Path, "resolve", lambda _self: f"/dev/video{next(numbers)}")
    opened.open()
    opened.open()

    assert device.opened == [2, 4]


def test_a_link_that_is_gone_is_a_camera_that_is_away(device):
    """No file that is missing; and no other camera is opened in its place."""
    text = "/dev/v4l/by-id/usb-away"

    assert camera.matches(text)
    with pytest.raises(SourceError, match=r"camera /dev/v4l/by-id/usb-away cannot be opened. Cameras that this machine shows: "):
        camera.CameraCapture(text).open()
    assert device.opened == []
