"""A camera that the operating system offers as a video device, as a source."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.opencv import opencv
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.sources.video import plausible_fps
from edgeseg.types import Frame

_ADVICE = "Is it plugged in, and not in use by another program?"
_DEVICE = re.compile(r"/dev/video(\d+)")


def matches(text: str) -> bool:
    """A bare index, ``/dev/videoN``, or a link in ``/dev`` to one (``/dev/v4l/by-id/...``)."""
    return _index(text) is not None


def _index(text: str) -> int | None:
    if text.isdecimal() and len(text) < 4:
        return int(text)
    device = _DEVICE.fullmatch(str(Path(text).resolve()) if text.startswith("/dev/") else text)
    return int(device.group(1)) if device else None


class CameraSource(Source):
    """Frames as the camera gives them, until the reader stops."""

    def __init__(self, text: str) -> None:
        self._name = text
        self._capture = opencv().VideoCapture(_index(text))
        if not self._capture.isOpened():
            present = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            raise SourceError(f"camera {text} cannot be opened. Cameras that this machine shows: {present}. {_ADVICE}")
        self.info = SourceInfo(name=f"camera {text}", fps=plausible_fps(self._capture.get(opencv().CAP_PROP_FPS)))

    def __iter__(self) -> Iterator[Frame]:
        start_s: float | None = None
        index = 0
        while self._capture.isOpened():
            ok, pixels = self._capture.read()
            now_s = time.monotonic()
            if not ok:
                raise SourceError(f"camera {self._name} gave no picture at frame {index}. {_ADVICE}")
            start_s = now_s if start_s is None else start_s
            yield Frame(pixels, index=index, captured_s=now_s, stream=self._name, time_s=now_s - start_s)
            index += 1

    def close(self) -> None:
        self._capture.release()
