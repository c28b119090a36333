"""Network cameras: ``rtsp://`` and ``rtsps://``, read by OpenCV's FFmpeg over TCP."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from edgeseg.errors import MissingDependencyError, SourceError
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
_PORTS = {"rtsp": 554, "rtsps": 322}
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_TCP = "rtsp_transport;tcp"
"""FFmpeg's default, UDP, loses packets without notice. Whoever wants other options sets that variable."""
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
        options = os.environ.setdefault(_OPTIONS, _TCP)
        if not build_has("FFMPEG"):
            raise MissingDependencyError(
                f"{self.name} cannot be opened: this OpenCV has no FFmpeg. Give a GStreamer pipeline with rtspsrc."
            )
        if options == _TCP:  # others may lead through a proxy
            self._reach()
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

    def _reach(self) -> None:
        """Raise SourceError unless somebody is there.

        OpenCV opens one stream or video at a time, for reading or writing, in the whole process: a camera that is off must not be waited
        for in there.
        """
        try:
            parts = urlsplit(str(self._target.address))
            where = parts.hostname or "", parts.port or _PORTS[parts.scheme]
            socket.create_connection(where, OPEN_TIMEOUT_S).close()
        except OSError as error:
            raise SourceError(
                f"{self.name} cannot be opened. {self._target.advice} The network says: {error.strerror or error}."
            ) from error
        except ValueError:
            return  # FFmpeg may understand the address, or says so

    def _leave_out_backlog(self, fps: float) -> None:
        """Grab until a picture had to be waited for: that one is new."""
        for _ in range(round(_BACKLOG_S * fps)):
            asked_s = self._clock()
            if not super().grab() or self._clock() - asked_s > 0.5 / fps:
                return
