"""Network cameras: ``rtsp://`` and ``rtsps://``, read by OpenCV's FFmpeg over TCP."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

from edgeseg.errors import SourceError
from edgeseg.opencv import build_has
from edgeseg.sources.capture import OPEN_TIMEOUT_S, OpenCvCapture, Target, redacted

_ADVICE = (
    "Is the address right, with user, password and path as the camera's manual has them (rtsp://USER:PASSWORD@HOST:554/PATH), and can this "
    "machine reach it?"
)
_BACKLOG_S = 2.0
"""The most of what a server sent during connecting that is left out."""
_DEFAULT_FPS = 30.0


def matches(text: str) -> bool:
    """``rtsp://...`` or, encrypted, ``rtsps://...``."""
    return text.lower().startswith(("rtsp://", "rtsps://"))


class RtspCapture(OpenCvCapture):
    """One connection.

    While it is made, FFmpeg keeps a second or so of pictures to learn about the stream. They are left out: handed out now, they would
    pass for new.
    """

    def __init__(self, text: str, stall_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        # A decoder with several threads holds back as many pictures: twice the latency, measured at 30 frames a second on two cores.
        limits = (("CAP_PROP_OPEN_TIMEOUT_MSEC", round(OPEN_TIMEOUT_S * 1e3)), ("CAP_PROP_READ_TIMEOUT_MSEC", math.ceil(stall_s * 1e3)))
        options = (*limits, ("CAP_PROP_N_THREADS", 1))
        super().__init__(Target(redacted(text), text, _ADVICE, "CAP_FFMPEG", options))
        self._clock = clock

    def open(self) -> float | None:
        # FFmpeg's default, UDP, loses packets without notice. Whoever wants other options sets this variable.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
        if not build_has("FFMPEG"):
            raise SourceError(f"{self.name} cannot be opened: this OpenCV has no FFmpeg. Give a GStreamer pipeline with rtspsrc.")
        fps = super().open()
        self._leave_out_backlog(fps or _DEFAULT_FPS)
        return fps

    def _leave_out_backlog(self, fps: float) -> None:
        """Grab until a picture had to be waited for: that one is new."""
        for _ in range(round(_BACKLOG_S * fps)):
            asked_s = self._clock()
            if not self.grab() or self._clock() - asked_s > 0.5 / fps:
                return
