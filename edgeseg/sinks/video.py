"""An annotated video file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from edgeseg.draw import annotate
from edgeseg.errors import SinkError
from edgeseg.opencv import opencv, takes_name
from edgeseg.sinks.base import Sink
from edgeseg.sinks.target import check_file, write_error
from edgeseg.types import Frame, Result, SizeHW, U8Array

VIDEO_SUFFIXES = frozenset({".mp4", ".mov"})
"""Containers whose index is written last, which is how a broken file is told from a whole one."""
DEFAULT_FPS = 30.0
_FREE_BYTES_MIN = 1 << 20
_HELD_S = 10.0
"""The longest that a picture stands for frames that were dropped."""


class VideoSink(Sink):
    """Annotated frames as MPEG-4 video at a constant frame rate.

    It is written beside its final name and renamed when it is whole. The codec wants even sides: an odd one grows by a
    repeated row or column. Where a live source dropped frames, the picture before stands for them, so that the video is as fast as life;
    what comes in another size after a lost connection is scaled to the first.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        check_file(path)
        if not takes_name(str(path)):
            raise SinkError(f"{str(path)!r} is a name that is not UTF-8, which OpenCV cannot write. Choose another name.")
        self._path = path
        self._partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        self._fps = DEFAULT_FPS if fps is None else fps
        self._writer: Any = None
        self._image_hw: SizeHW = (0, 0)
        self._count = 0
        self._last: tuple[int, U8Array] | None = None
        self._is_whole = False

    def write(self, frame: Frame, result: Result) -> None:
        if self._writer is None:
            self._open(frame.image_hw)
        if frame.image_hw != self._image_hw and not frame.reconnects:
            was, now = (f"{width}x{height}" for height, width in (self._image_hw, frame.image_hw))
            raise SinkError(
                f"frame {frame.index} is {now} but {self._path} is {was}. For pictures of several sizes give a folder: --out FOLDER/"
            )
        if shutil.disk_usage(self._path.parent).free < _FREE_BYTES_MIN:
            raise SinkError(f"{self._path} cannot be written on: the disk is full. Free some space or choose another place for the output.")
        drawn = annotate(frame.pixels, result)
        if frame.image_hw != self._image_hw:
            drawn = opencv().resize(drawn, self._image_hw[::-1])
        self._add(frame.index, _with_even_sides(drawn))

    def _add(self, index: int, picture: U8Array) -> None:
        """Write the picture of a frame, after those of the frames that were dropped before it."""
        before, held = self._last or (index - 1, picture)
        for _ in range(min(index - before - 1, round(_HELD_S * self._fps))):
            self._writer.write(held)
            self._count += 1
        self._writer.write(picture)
        self._count += 1
        self._last = index, picture

    def close(self) -> None:
        if self._writer is None:
            return
        self._writer.release()
        try:
            self._publish()
        except (OSError, SinkError) as error:
            self._writer = None
            self._partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise write_error(self._path, error) from error
            raise
        self._writer = None

    def _publish(self) -> None:
        """Give the file its final name if it is whole. Interrupted at any place, it can be called again."""
        if self._is_whole and not self._partial.exists():
            return
        # An interrupt may have come after the last frame was written and before it was counted.
        if self._frames_on_disk() < self._count:
            raise SinkError(
                f"{self._path} could not be written whole. Is the disk full? Free some space or choose another place for the output."
            )
        self._is_whole = True
        self._partial.replace(self._path)

    def _open(self, image_hw: SizeHW) -> None:
        cv2 = opencv()
        height, width = (side + side % 2 for side in image_hw)
        writer = cv2.VideoWriter(str(self._partial), cv2.VideoWriter_fourcc(*"mp4v"), self._fps, (width, height))
        if not writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise SinkError(
                f"{self._path} cannot be written as {width}x{height} video at {self._fps:g} frames a second: this OpenCV may lack a "
                "video encoder, or the disk is full. 'edgeseg doctor' shows the build; --out FOLDER/ writes pictures instead."
            )
        self._writer, self._image_hw = writer, image_hw

    def _frames_on_disk(self) -> int:
        """The writer reports no error, so the file itself is asked."""
        capture = opencv().VideoCapture(str(self._partial))
        count = int(capture.get(opencv().CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        return count


def _with_even_sides(pixels: U8Array) -> U8Array:
    height, width = pixels.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return pixels
    grown: U8Array = opencv().copyMakeBorder(pixels, 0, height % 2, 0, width % 2, opencv().BORDER_REPLICATE)
    return grown
