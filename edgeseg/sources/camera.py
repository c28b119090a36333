"""A camera that the operating system offers as a video device."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.sources.capture import OpenCvCapture, Target

_ADVICE = "Is it plugged in, and not in use by another program?"
_DEVICE = re.compile(r"/dev/video(\d+)")


def matches(text: str) -> bool:
    """A bare index, ``/dev/videoN``, or a link in ``/dev`` to one. Those in ``/dev/v4l`` are gone while the camera is."""
    return _index(text) is not None or text.startswith("/dev/v4l/")


def _index(text: str) -> int | None:
    if text.isdecimal() and len(text) < 4:
        return int(text)
    device = _DEVICE.fullmatch(str(Path(text).resolve()) if text.startswith("/dev/") else text)
    return int(device.group(1)) if device else None


class CameraCapture(OpenCvCapture):
    """A camera by index or device file. A link is followed each time: a camera that is plugged in again may have another number."""

    def __init__(self, text: str) -> None:
        super().__init__(Target(f"camera {text}", -1, _ADVICE))
        self._text = text

    def open(self) -> float | None:
        index = _index(self._text)
        present = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
        advice = f"Cameras that this machine shows: {present}. {_ADVICE}"
        if index is None:
            # OpenCV would take -1, which stands for whatever camera there is.
            raise SourceError(f"{self.name} cannot be opened. {advice}")
        self._target = replace(self._target, address=index, advice=advice)
        return super().open()
