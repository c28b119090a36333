"""Network cameras: what OpenCV is told, and a real server where there is one."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rtsp_chaos import Server, stamped_age_s
from edgeseg.errors import MissingDependencyError, SourceError
from edgeseg.sources import LiveSettings, open_source, rtsp
from edgeseg.sources.fake import FakeClock

PYTHON = "/usr/bin/python3"
BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A real one on loopback."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", BINDINGS], capture_output=True, check=False).returncode:
        pytest.skip("no RTSP server: install gir1.2-gst-rtsp-server-1.0 and python3-gi (benchmarks/rtsp_server.py)")
    with Server(PYTHON) as running:
        yield running


@pytest.fixture
def reached(monkeypatch) -> list[tuple[str, int]]:
    """Where it was looked whether a camera is there; one is everywhere."""
    asked: list[tuple[str, int]] = []

    def connect(where, _limit_s):
        asked.append(where)
        return socket.socket()

    monkeypatch.setattr(rtsp.socket, "create_connection", connect)
    return asked


def test_a_server_that_dies_and_comes_back_is_read_on(server):
    """Frames of a real stream arrive, after a kill as well, and the password is in no name, note or frame."""
    notes: list[str] = []
    with open_source(server.url, LiveSettings(note=notes.append)) as source:
        frames = iter(source)
        first = next(frames)
        server.kill()
        server.start()
        later = next(frame for frame in frames if frame.reconnects)

    assert (first.image_hw, first.index, source.info.fps) == ((360, 640), 0, 30.0)
    assert later.reconnects == source.counts.reconnects == 1
    assert not np.isnan(stamped_age_s(later.pixels, later.captured_s))
    assert ["gives no new pictures" in notes[0], "connected again" in notes[1]] == [True, True]
    assert "secret" not in "".join([*notes, source.info.name, first.stream, repr(first)])


def test_a_wrong_path_is_an_error_without_the_password(server):
    """The message names the address, says what to look at, and hides the login."""
    with pytest.raises(SourceError, match=r"rtsp://\*\*\*@127\.0\.0\.1:\d+/nothing cannot be opened\. Is the address right") as caught:
        open_source(server.url.replace("/clip", "/nothing"))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "is_one"), [("rtsp://host/a", True), ("RTSPS://host", True), ("rtmp://host", False), ("rtsp.mp4", False)])
def test_what_counts_as_a_network_camera(text, is_one):
    """The scheme decides."""
    assert rtsp.matches(text) == is_one


def test_what_came_while_connecting_is_left_out(monkeypatch):
    """Pictures that need no waiting are old; the first that does ends that, and so does too many of them."""
    clock = FakeClock()
    waits_s = [0.001] * 20 + [0.03, 0.001]
    grabbed = []

    def grab(_self):
        grabbed.append(waits_s[len(grabbed) % len(waits_s)])
        clock.wait(grabbed[-1])
        return True

    monkeypatch.setattr(rtsp.OpenCvCapture, "open", lambda _self: 30.0)
    monkeypatch.setattr(rtsp.OpenCvCapture, "grab", grab)
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp")
    capture = rtsp.RtspCapture("rtsp://host", LiveSettings(), clock=clock)

    assert capture.open() == 30.0
    assert len(grabbed) == 21
    waits_s[:], grabbed[:] = [0.001], []
    capture.open()
    assert len(grabbed) == 60


def test_tcp_is_asked_for_where_the_user_does_not_say(monkeypatch, reached):
    """FFmpeg's options come from the environment, and the user's own stay."""
    monkeypatch.setattr(rtsp.OpenCvCapture, "open", lambda _self: 30.0)
    monkeypatch.setattr(rtsp.OpenCvCapture, "grab", lambda _self: False)
    for given, expected in ((None, "rtsp_transport;tcp"), ("rtsp_transport;udp", "rtsp_transport;udp")):
        monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", given or "")
        if given is None:
            monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS")
        rtsp.RtspCapture("rtsp://host", LiveSettings()).open()

        assert rtsp.os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == expected
    assert reached == [("host", 554)]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("RTSP://me:se@cret@host/a@b", [("host", 554)]),
        ("rtsps://host", [("host", 322)]),
        ("rtsp://me:secret@[::1]:8554/a", [("::1", 8554)]),
        ("rtsp://host:port/a", []),
    ],
)
def test_a_camera_is_looked_for_where_ffmpeg_would(monkeypatch, reached, text, where):
    """The rest of the address, and what is no address, are left to it."""
    monkeypatch.setattr(rtsp.OpenCvCapture, "open", lambda _self: 30.0)
    monkeypatch.setattr(rtsp.OpenCvCapture, "grab", lambda _self: False)
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")

    rtsp.RtspCapture(text, LiveSettings()).open()

    assert reached == where


@pytest.mark.parametrize(
    ("error", "told"), [(TimeoutError("timed out"), "timed out"), (OSError(111, "Connection refused"), "Connection refused")]
)
def test_a_camera_that_is_off_is_not_waited_for_in_opencv(monkeypatch, error, told):
    """OpenCV opens one stream or video at a time, so that all others would wait too."""

    def fail(*_):
        raise error

    monkeypatch.setattr(rtsp.socket, "create_connection", fail)
    monkeypatch.setattr(rtsp.OpenCvCapture, "open", lambda _self: pytest.fail("it was waited for"))
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")

    with pytest.raises(SourceError, match=r"^rtsp://\*\*\*@host/a cannot be opened\. Is the address right") as caught:
        rtsp.RtspCapture("rtsp://me:secret@host/a", LiveSettings()).open()

    assert str(caught.value).endswith(f"The network says: {told}.")


def test_without_ffmpeg_there_is_another_way(monkeypatch):
    """An OpenCV that lacks FFmpeg is named as the cause."""
    monkeypatch.setattr(rtsp, "build_has", lambda _feature: False)

    with pytest.raises(MissingDependencyError, match=r"has no FFmpeg\. Give a GStreamer pipeline with rtspsrc"):
        rtsp.RtspCapture("rtsp://host", LiveSettings()).open()


@pytest.mark.parametrize(("when_late", "grabs"), [("drop", [True] * 6 + [False]), ("wait", [True] * 7)])
def test_a_stream_that_is_decoded_too_slowly_is_connected_anew_with_all_cores(monkeypatch, reached, when_late, grabs):
    """Pictures that come later and later are a lost connection, unless it is allowed to fall behind; the next has more threads and time."""
    clock = FakeClock()
    monkeypatch.setattr(rtsp.OpenCvCapture, "grab", lambda _self: not clock.wait(1.0))
    monkeypatch.setattr(rtsp.OpenCvCapture, "open", lambda _self: 30.0)
    monkeypatch.setattr(rtsp.OpenCvCapture, "dated_s", lambda _self: clock.now_s / 2)
    monkeypatch.setattr(rtsp.os, "cpu_count", lambda: 6)
    capture = rtsp.RtspCapture("rtsp://host", LiveSettings(when_late=when_late), clock=clock)

    assert dict(capture._target.options)["CAP_PROP_N_THREADS"] == 1
    assert [capture.grab() for _ in range(7)] == grabs
    assert dict(capture._target.options)["CAP_PROP_N_THREADS"] == (1 if all(grabs) else 6)
    assert dict(capture._target.options)["CAP_PROP_READ_TIMEOUT_MSEC"] == 5000
    capture.open()
    assert all(capture.grab() for _ in range(6))
