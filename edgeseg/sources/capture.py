"""The seam between live sources and devices: what a device can do, and OpenCV's reader behind it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from edgeseg.errors import SourceError
from edgeseg.opencv import opencv
from edgeseg.types import U8Array

OPEN_TIMEOUT_S = 10.0
"""How long a connection may take; OpenCV's own limit is 30 s, and for some readers there is none."""
_FPS_MAX = 1000.0
_LOGIN = re.compile(r"([a-z][a-z0-9+.-]+:/{1,2})[^\s\"']*@", re.IGNORECASE)
_LOGIN_ALONE = re.compile(r"([a-z][a-z0-9+.-]+:/{1,2}).*@", re.IGNORECASE | re.DOTALL)
_SECRET = re.compile(
    r"(?<![a-z])((?:user|login|pass|pwd|token|secret|key|auth|sig|proxy)[\w-]*)(\s*=\s*)(\"[^\"]*\"|[^\s&!\"]+)", re.IGNORECASE
)


class Capture(Protocol):
    """A device or connection that gives one picture after another. Used by one thread at a time, except where said."""

    @property
    def name(self) -> str:
        """What messages and results call it; it holds no password."""
        ...

    def open(self) -> float | None:
        """Connect, also anew after `close`. Returns frames a second, None where they are not known.

        Raises:
            SourceError: it cannot be opened; the message says what to do.
        """
        ...

    def grab(self) -> bool:
        """Wait for the next picture. False once the connection is lost, and when none comes for about as long as it was told to wait."""
        ...

    def read(self) -> U8Array | None:
        """The grabbed picture, uint8 (H, W, 3) BGR and never written to again; None if it is damaged."""
        ...

    def close(self) -> None:
        """Let go of the device. Calling it twice is fine."""
        ...


@dataclass(frozen=True, repr=False)
class Target:
    """What OpenCV is asked to open, and how it is told of."""

    name: str
    address: int | str
    advice: str
    """What to do where it cannot be opened."""
    backend: str = "CAP_ANY"
    """OpenCV's name of the reader."""
    options: tuple[tuple[str, int], ...] = ()
    """OpenCV's names of settings with their values; those that this OpenCV lacks are left out."""


class OpenCvCapture:
    """A camera, stream or pipeline that OpenCV reads."""

    def __init__(self, target: Target) -> None:
        self.name = target.name
        self._target = target
        self._device: Any = None

    def open(self) -> float | None:
        cv2, target = opencv(), self._target
        options = [number for name, value in target.options if hasattr(cv2, name) for number in (getattr(cv2, name), value)]
        self._device = cv2.VideoCapture(target.address, getattr(cv2, target.backend), *([options] if options else []))
        if not self._device.isOpened():
            self.close()
            raise SourceError(f"{self.name} cannot be opened. {target.advice}")
        return plausible_fps(self._device.get(cv2.CAP_PROP_FPS))

    def grab(self) -> bool:
        return self._device is not None and bool(self._device.grab())

    def read(self) -> U8Array | None:
        pixels = self.retrieved()
        return pixels if pixels is not None and is_bgr(pixels) else None

    def retrieved(self) -> U8Array | None:
        """What OpenCV makes of the grabbed picture, uint8 of any shape; None if it is damaged."""
        try:
            ok, pixels = self._device.retrieve()
        except opencv().error:
            return None
        return pixels if ok else None

    def dated_s(self) -> float:
        """When the grabbed picture was taken, seconds of the stream's own clock; 0 where it has none."""
        return float(self._device.get(opencv().CAP_PROP_POS_MSEC)) / 1e3

    def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.release()


def is_bgr(pixels: U8Array) -> bool:
    """Whether an array is a picture with three channels, (H, W, 3)."""
    return pixels.ndim == 3 and pixels.shape[2] == 3


def plausible_fps(value: float) -> float | None:
    """The frame rate that OpenCV reports, or None where it reports none (0, NaN, or a time base in its place)."""
    return float(value) if math.isfinite(value) and 0 < value <= _FPS_MAX else None


def redacted(text: str) -> str:
    """An address or pipeline without what could be a credential: what stands before an ``@``, and values of ``password=`` and its like.

    An address may hold any character in its password; in a pipeline a space or quotation mark ends it.
    """
    login = _LOGIN if " ! " in text else _LOGIN_ALONE
    return _SECRET.sub(r"\1\2***", login.sub(r"\1***@", text))
