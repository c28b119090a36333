"""The window, with a made-up screen in place of a real one."""

from __future__ import annotations

import pytest

from edgeseg.errors import SinkError
from edgeseg.opencv import opencv
from edgeseg.sinks import window
from edgeseg.sinks.window import WindowSink


class Screen:
    """The part of OpenCV that shows windows."""

    error = opencv().error
    WND_PROP_VISIBLE = 4

    def __init__(self):
        self.shown = []
        self.key = -1
        self.visible = 1.0
        self.destroyed = []

    def imshow(self, title, image):
        self.shown.append((title, image.shape))

    def waitKey(self, _milliseconds):  # noqa: N802 - OpenCV's name
        return self.key

    def getWindowProperty(self, _title, _what):  # noqa: N802 - OpenCV's name
        return self.visible

    def destroyWindow(self, title):  # noqa: N802 - OpenCV's name
        self.destroyed.append(title)
        if not self.visible:
            raise self.error("NULL window")


@pytest.fixture
def screen(monkeypatch):
    """A made-up screen on a machine that has one."""
    made_up = Screen()
    monkeypatch.setattr(window, "opencv", lambda: made_up)
    monkeypatch.setattr(window, "build_has", lambda feature: feature == "GUI")
    monkeypatch.setenv("DISPLAY", ":0")
    return made_up


def test_frames_are_shown_until_the_sink_is_closed(screen, make_frame, make_result):
    """Every frame is shown under the title; without a key the run goes on; closing destroys the window once."""
    with WindowSink("title") as sink:
        sink.write(make_frame(), make_result())
        sink.write(make_frame(), make_result())
        assert sink.wants_stop is False
    sink.close()

    assert screen.shown == [("title", (96, 128, 3))] * 2
    assert screen.destroyed == ["title"]


def test_closing_one_window_leaves_the_others(screen, make_frame, make_result):
    """The stream that ended loses its own; one that its viewer had closed before is no error."""
    sinks = [WindowSink(title) for title in ("0", "1", "2")]
    for sink in sinks:
        sink.write(make_frame(), make_result())
    sinks[1].close()
    screen.visible = 0.0
    sinks[2].close()

    assert screen.destroyed == ["1", "2"]


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_q_and_escape_stop(screen, make_frame, make_result, key):
    """Both keys ask for the end of the run, and it stays asked for."""
    with WindowSink("title") as sink:
        screen.key = key
        sink.write(make_frame(), make_result())
        screen.key = -1
        sink.write(make_frame(), make_result())

        assert sink.wants_stop


def test_closing_the_window_stops(screen, make_frame, make_result):
    """A window that is gone asks for the end of the run instead of coming back."""
    with WindowSink("title") as sink:
        sink.write(make_frame(), make_result())
        screen.visible = 0.0
        sink.write(make_frame(), make_result())

        assert sink.wants_stop


def test_title_is_one_that_opencv_takes(screen, make_frame, make_result):
    """A folder's name may be no UTF-8, at which OpenCV would end the process."""
    with WindowSink("edgeseg: \udcff") as sink:
        sink.write(make_frame(), make_result())

    assert screen.shown[0][0] == "edgeseg: ?"


def test_headless_build_is_an_error(screen, monkeypatch):
    """An OpenCV without windows is named, with the commands that replace it."""
    monkeypatch.setattr(window, "build_has", lambda _feature: False)

    with pytest.raises(SinkError, match="pip install opencv-python"):
        WindowSink("title")


def test_no_display_is_an_error(screen, monkeypatch):
    """Without a display the sink fails before Qt would end the process."""
    monkeypatch.setattr(window.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    with pytest.raises(SinkError, match="DISPLAY is not set"):
        WindowSink("title")


def test_window_that_cannot_be_shown_is_an_error(screen, make_frame, make_result, monkeypatch):
    """What OpenCV refuses is reported with its reason."""

    def refuse(_title, _image):
        error = opencv().error("no window")
        error.err = "no window"
        raise error

    monkeypatch.setattr(screen, "imshow", refuse)

    with WindowSink("title") as sink, pytest.raises(SinkError, match="no window"):
        sink.write(make_frame(), make_result())
