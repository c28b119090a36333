"""Annotated pictures: one file, or a folder of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from edgeseg.draw import annotate
from edgeseg.errors import SinkError, UsageError
from edgeseg.opencv import opencv
from edgeseg.sinks.base import Sink
from edgeseg.sinks.target import check_file, check_folder, make_folder, write_error
from edgeseg.types import Frame, Result, U8Array

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Formats that hold colour and that every OpenCV writes."""


class PictureSink(Sink):
    """The one annotated picture of a source that holds one."""

    def __init__(self, path: Path, frame_count: int | None) -> None:
        if frame_count != 1:
            raise UsageError(
                f"{path} is one picture, but the source has more. Give a video (--out out.mp4) or a folder (--out {path.stem}/)."
            )
        check_file(path)
        self._path = path

    def write(self, frame: Frame, result: Result) -> None:
        write_picture(self._path, annotate(frame.pixels, result))


class FolderSink(Sink):
    """Annotated pictures in a folder, which is created when its parent exists.

    They are named like the pictures they come from, or ``000000.png`` and so on by frame index.
    """

    def __init__(self, folder: Path, *, keep_names: bool) -> None:
        check_folder(folder if folder.exists() else folder.parent)
        self._folder = folder
        self._keep_names = keep_names

    def write(self, frame: Frame, result: Result) -> None:
        make_folder(self._folder)
        name = name_of(frame, PICTURE_SUFFIXES) if self._keep_names else number_of(frame)
        write_picture(self._folder / name, annotate(frame.pixels, result))


def name_of(frame: Frame, suffixes: Collection[str]) -> str:
    """A file for what was found in a picture of a folder: the picture's name; with another ending than these, and .png behind it."""
    # A second ending, so that a.pgm and a.png stay two files.
    return frame.stream if Path(frame.stream).suffix.lower() in suffixes else f"{frame.stream}.png"


def number_of(frame: Frame) -> str:
    """A file for what was found in a frame of a video."""
    return f"{frame.index:06d}.png"


def write_picture(path: Path, pixels: U8Array) -> None:
    """Write a picture whole or not at all.

    Raises:
        SinkError: it cannot be encoded or written.
    """
    cv2 = opencv()
    try:
        ok, data = cv2.imencode(path.suffix, pixels)
    except cv2.error as error:
        raise SinkError(f"{path} cannot be encoded ({error.err}). Choose another format, such as .png.") from error
    if not ok:
        raise SinkError(f"{path} cannot be encoded. Choose another format, such as .png.")
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data.tobytes())
        partial.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        partial.unlink(missing_ok=True)
