"""Annotated frames in a window on the screen."""

from __future__ import annotations

import contextlib
import os
import sys

from edgeseg.draw import annotate
from edgeseg.errors import SinkError
from edgeseg.opencv import build_has, opencv
from edgeseg.sinks.base import Sink
from edgeseg.types import Frame, Result

_STOP_KEYS = (ord("q"), 27)


class WindowSink(Sink):
    """A window that shows the newest frame; q, Esc or closing it stops the run."""

    def __init__(self, title: str) -> None:
        if not build_has("GUI"):
            raise SinkError(
                "this OpenCV was built without windows (opencv-python-headless). Leave out --show, or install the other build: "
                "pip uninstall -y opencv-python-headless && pip install opencv-python"
            )
        # Asked here because Qt, which OpenCV's Linux wheels use, ends the whole process where there is no display.
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise SinkError(
                "there is no display to show a window on (DISPLAY is not set). Leave out --show and write --out FILE.mp4 instead."
            )
        # It may hold the name of a folder that is not UTF-8.
        self._title = title.encode(errors="replace").decode()
        self._shown = False

    def write(self, frame: Frame, result: Result) -> None:
        cv2 = opencv()
        try:
            cv2.imshow(self._title, annotate(frame.pixels, result))
            key = cv2.waitKey(1) & 0xFF
            closed = self._shown and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error as error:
            raise SinkError(f"the window cannot be shown ({error.err}). Leave out --show and write --out FILE.mp4 instead.") from error
        self._shown = True
        self.wants_stop = self.wants_stop or closed or key in _STOP_KEYS

    def close(self) -> None:
        if self._shown:
            self._shown = False
            # Other streams keep theirs; this one may be gone already.
            with contextlib.suppress(opencv().error):
                opencv().destroyWindow(self._title)
