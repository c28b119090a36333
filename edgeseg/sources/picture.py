"""One picture as a source, and the reading of picture files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeseg.errors import SourceError
from edgeseg.opencv import PICTURE_PIXELS_MAX, opencv
from edgeseg.paths import is_file
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.types import Frame, U8Array

PICTURE_SUFFIXES = frozenset({".bmp", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Lower-case file name endings that count as pictures."""


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture. Hidden files are not: among them are copies of metadata with a picture's ending."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def matches(text: str) -> bool:
    """An existing file with a picture's ending."""
    return Path(text).suffix.lower() in PICTURE_SUFFIXES and is_file(text)


def read_picture(path: Path) -> U8Array:
    """Read a picture as uint8 (H, W, 3) BGR.

    Grey becomes three equal channels, 16 bit keeps its upper 8, alpha is dropped (not blended), and the EXIF orientation
    is applied.

    Raises:
        SourceError: it cannot be read, is damaged, or has more than ``PICTURE_PIXELS_MAX`` pixels.
    """
    cv2 = opencv()
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not data.size:
        raise SourceError(f"{path} is an empty file. Replace it, or remove it from the folder.")
    try:
        pixels: U8Array | None = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "MAX_IMAGE" in str(error):
            raise SourceError(f"{path} has more than {PICTURE_PIXELS_MAX:,} pixels, too many to load. Scale it down or cut it.") from error
        raise SourceError(f"{path} cannot be decoded ({error.err}). Convert it to PNG or JPEG.") from error
    if pixels is None:
        raise SourceError(f"{path} is damaged, or in a format that this OpenCV cannot read. Convert it to PNG or JPEG.")
    return pixels


class PictureSource(Source):
    """A stream of one frame. The picture is read when the source is opened, so that a bad file fails early."""

    def __init__(self, text: str) -> None:
        path = Path(text)
        pixels = read_picture(path)
        self._frame = Frame(pixels, captured_s=time.monotonic(), stream=path.name)
        self.info = SourceInfo(name=text, frame_count=1, image_hw=self._frame.image_hw, pictures=(path.name,))

    def __iter__(self) -> Iterator[Frame]:
        yield self._frame
