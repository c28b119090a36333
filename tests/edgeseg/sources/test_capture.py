"""What OpenCV is asked to open and read, and that no password is ever shown."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.sources import capture
from edgeseg.sources.capture import OpenCvCapture, Target, plausible_fps, redacted


class Error(Exception):
    """OpenCV's."""


class Device:
    """What OpenCV gives for an address."""

    present = True
    answer: object = (True, np.zeros((4, 6, 3), np.uint8))

    def __init__(self, address, backend, options=None):
        self.asked = (address, backend, options)
        self.is_open = Device.present
        Device.last = self

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.is_open

    def get(self, _what):
        return 25.0

    def grab(self):
        return self.is_open

    def retrieve(self):
        if isinstance(Device.answer, Exception):
            raise Device.answer
        return Device.answer

    def release(self):
        self.is_open = False


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """OpenCV with the made-up device and one of the settings."""
    monkeypatch.setattr(Device, "present", True)
    monkeypatch.setattr(Device, "answer", (True, np.zeros((4, 6, 3), np.uint8)))
    cv2 = SimpleNamespace(VideoCapture=Device, CAP_PROP_FPS=5, CAP_FFMPEG=1900, CAP_ANY=0, CAP_PROP_READ_TIMEOUT_MSEC=54, error=Error)
    monkeypatch.setattr(capture, "opencv", lambda: cv2)
    return Device


def test_settings_that_this_opencv_lacks_are_left_out(device):
    """Those that it has are given by number, with the reader that was named."""
    opened = OpenCvCapture(Target("it", "address", "", "CAP_FFMPEG", (("CAP_PROP_READ_TIMEOUT_MSEC", 5000), ("CAP_PROP_NEW", 1))))

    assert opened.open() == 25.0
    assert device.last.asked == ("address", 1900, [54, 5000])


def test_pictures_come_until_it_is_closed(device):
    """A closed device gives nothing and can be opened anew."""
    opened = OpenCvCapture(Target("it", 0, ""))

    assert not opened.grab()
    opened.open()
    assert (opened.grab(), opened.read().shape) == (True, (4, 6, 3))
    opened.close()
    opened.close()
    assert (opened.grab(), device.last.is_open) == (False, False)
    opened.open()
    assert opened.grab()


@pytest.mark.parametrize(
    "answer",
    [(False, None), (True, None), (True, np.zeros((4, 6), np.uint8)), (True, np.zeros((4, 6, 4), np.uint8)), Error("damaged")],
)
def test_a_damaged_picture_is_none(device, monkeypatch, answer):
    """Whatever OpenCV does about a picture that it cannot decode, it is none."""
    monkeypatch.setattr(device, "answer", answer)
    opened = OpenCvCapture(Target("it", 0, ""))
    opened.open()

    assert opened.read() is None


def test_what_cannot_be_opened_is_an_error_with_advice(device, monkeypatch):
    """The message names the source and says what to do."""
    monkeypatch.setattr(device, "present", False)

    with pytest.raises(SourceError, match=r"it cannot be opened\. Plug it in\."):
        OpenCvCapture(Target("it", 0, "Plug it in.")).open()


@pytest.mark.parametrize(("reported", "fps"), [(29.97, 29.97), (0.0, None), (float("nan"), None), (90_000.0, None), (-1.0, None)])
def test_only_a_plausible_frame_rate_is_one(reported, fps):
    """Time bases and nothing at all are no rates."""
    assert plausible_fps(reported) == fps


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://host:554/a?channel=1&subtype=0", "rtsp://host:554/a?channel=1&subtype=0"),
        ("rtsp://admin:hush@host/a", "rtsp://***@host/a"),
        ("RTSPS://hush@host", "RTSPS://***@host"),
        ("rtsp://admin:hu@sh/hush hush'\"@host/a", "rtsp://***@host/a"),
        ("rtsp://admin:%68ush@[fe80::1]:8554/a", "rtsp://***@[fe80::1]:8554/a"),
        (" rtsp://admin:hush@host/a", " rtsp://***@host/a"),
        ("rtsp://host/a?user=hush&password=hush&channel=1", "rtsp://host/a?user=***&password=***&channel=1"),
        ("rtsp://host/user=hush_password=hu_sh_channel=1.sdp", "rtsp://host/user=***"),
        ("http://host/a?access_token=hush", "http://host/a?access_token=***"),
        ("rtspsrc location=rtsp://a:hush@host/x latency=0 ! appsink", "rtspsrc location=rtsp://***@host/x latency=0 ! appsink"),
        ('rtspsrc location=host user-id=hush user-pw="hush hush" ! appsink', "rtspsrc location=host user-id=*** user-pw=*** ! appsink"),
        ("rtsp:/admin:hush@host/a", "rtsp:/***@host/a"),
        ("a.mp4", "a.mp4"),
        ("v4l2src ! video/x-raw,width=640 ! appsink", "v4l2src ! video/x-raw,width=640 ! appsink"),
    ],
)
def test_what_could_be_a_credential_is_not_shown(text, shown):
    """Logins and values of telling names are replaced, all else stays readable."""
    assert redacted(text) == shown
    assert "hush" not in redacted(text)


@pytest.mark.parametrize("text", ["C:/pictures/a@b.png", "pictures/a@b.png"])
def test_names_of_files_stay_as_they_are(text):
    """An @ alone hides no password."""
    assert redacted(text) == text


def test_no_login_of_any_characters_is_shown():
    """A thousand random logins with the strangest characters leave nothing behind."""
    rng = np.random.default_rng(3)
    alphabet = list("aB3:/@?&=%#!._-~$'\" ")
    for _ in range(1000):
        login = "".join(rng.choice(alphabet, size=rng.integers(1, 12))).replace(" ! ", "")
        shown = redacted(f"rtsp://Q{login}Q@camera:554/stream")

        assert shown == "rtsp://***@camera:554/stream"
