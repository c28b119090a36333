"""A video file as a source."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.opencv import is_utf8, opencv
from edgeseg.paths import is_file
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.sources.capture import plausible_fps
from edgeseg.types import Frame


def matches(text: str) -> bool:
    """Any existing file: what no other source wants is tried as a video."""
    return is_file(text)


class VideoSource(Source):
    """Every frame of a video file that decodes, in order.

    The first frame is decoded when the source is opened, so that a file without any fails early. A video that is cut
    short gives the frames it has.
    """

    def __init__(self, text: str) -> None:
        if not is_utf8(text):
            raise SourceError(f"{text!r}: OpenCV cannot open a file whose name is not UTF-8. Rename it.")
        self._name = Path(text).name
        self._capture = opencv().VideoCapture(text)
        self._fps = plausible_fps(self._capture.get(opencv().CAP_PROP_FPS))
        self._start_s: float | None = None
        self._last_s = -math.inf
        first = self._read(0)
        if first is None:
            self.close()
            raise SourceError(
                f"{text} has no frame that can be decoded: it is not a video, is damaged, or was cut off before its index was written. "
                "Record or copy it again; ffmpeg may be able to convert it to an .mp4 that works."
            )
        self._first = first
        count = int(self._capture.get(opencv().CAP_PROP_FRAME_COUNT))
        self.info = SourceInfo(name=text, fps=self._fps, frame_count=count if count > 0 else None, image_hw=first.image_hw)

    def __iter__(self) -> Iterator[Frame]:
        frame: Frame | None = self._first
        while frame is not None:
            yield frame
            frame = self._read(frame.index + 1)

    def close(self) -> None:
        self._capture.release()

    def _read(self, index: int) -> Frame | None:
        cv2 = opencv()
        try:
            ok, pixels = self._capture.read()
        except cv2.error as error:
            raise SourceError(f"{self._name} cannot be decoded at frame {index} ({error.err}).") from error
        if not ok:
            return None
        captured_s = time.monotonic()
        return Frame(pixels, index=index, captured_s=captured_s, stream=self._name, time_s=self._time_s())

    def _time_s(self) -> float:
        """Time of the frame just read. Containers without usable times get theirs from the frame rate."""
        reported = self._capture.get(opencv().CAP_PROP_POS_MSEC) / 1e3
        start = reported if self._start_s is None else self._start_s
        self._start_s = start
        time_s = float(reported - start)
        if not math.isfinite(time_s) or time_s <= self._last_s:
            time_s = self._last_s + 1 / (self._fps or 30.0) if math.isfinite(self._last_s) else 0.0
        self._last_s = time_s
        return time_s
