"""Network cameras: ``rtsp://`` and ``rtsps://``, read by OpenCV's FFmpeg over TCP."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace

from edgeseg.errors import MissingDependencyError
from edgeseg.opencv import build_has
from edgeseg.sources.capture import OPEN_TIMEOUT_S, OpenCvCapture, Target, redacted
from edgeseg.sources.lag import LagWatch
from edgeseg.sources.settings import LiveSettings

_ADVICE = (
    "Is the address right, with user, password and path as the camera's manual has them (rtsp://USER:PASSWORD@HOST:554/PATH), and can this "
    "machine reach it?"
)
_BACKLOG_S = 2.0
"""The most of what a server sent during connecting that is left out."""
_DEFAULT_FPS = 30.0
_THREADS = "CAP_PROP_N_THREADS"


def matches(text: str) -> bool:
    """``rtsp://...`` or, encrypted, ``rtsps://...``."""
    return text.lower().startswith(("rtsp://", "rtsps://"))


class RtspCapture(OpenCvCapture):
    """One connection.

    While it is made, FFmpeg keeps a second or so of pictures to learn about the stream. They are left out: handed out now, they would
    pass for new. One thread decodes, because several hold back as many pictures (twice the latency, measured at 30 frames a second on two
    cores). Where one is too slow for the stream, the connection counts as lost and the next one decodes on all cores.

    Args:
        text: the address.
        settings: of the live source. ``wait`` allows it to fall behind.
        clock: seconds of the monotonic clock.
    """

    def __init__(self, text: str, settings: LiveSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        limits = (("CAP_PROP_OPEN_TIMEOUT_MSEC", OPEN_TIMEOUT_S), ("CAP_PROP_READ_TIMEOUT_MSEC", settings.stall_s))
        options = ((_THREADS, 1), *((name, math.ceil(limit_s * 1e3)) for name, limit_s in limits))
        super().__init__(Target(redacted(text), text, _ADVICE, "CAP_FFMPEG", options))
        self._may_lag = settings.when_late == "wait"
        self._lag = LagWatch()
        self._clock = clock

    def open(self) -> float | None:
        # FFmpeg's default, UDP, loses packets without notice. Whoever wants other options sets this variable.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
        if not build_has("FFMPEG"):
            raise MissingDependencyError(
                f"{self.name} cannot be opened: this OpenCV has no FFmpeg. Give a GStreamer pipeline with rtspsrc."
            )
        fps = super().open()
        self._leave_out_backlog(fps or _DEFAULT_FPS)
        self._lag = LagWatch()
        return fps

    def grab(self) -> bool:
        if not super().grab():
            return False
        if self._may_lag or not self._lag.see(self._clock(), self.dated_s()):
            return True
        self._target = replace(self._target, options=((_THREADS, os.cpu_count() or 1), *self._target.options[1:]))
        return False

    def _leave_out_backlog(self, fps: float) -> None:
        """Grab until a picture had to be waited for: that one is new."""
        for _ in range(round(_BACKLOG_S * fps)):
            asked_s = self._clock()
            if not super().grab() or self._clock() - asked_s > 0.5 / fps:
                return
