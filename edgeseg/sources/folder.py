"""A folder of pictures as a source."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.paths import is_folder
from edgeseg.sources.base import Source, SourceInfo
from edgeseg.sources.picture import is_picture, read_picture
from edgeseg.types import Frame


def matches(text: str) -> bool:
    """An existing folder."""
    return is_folder(text)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


class FolderSource(Source):
    """The pictures directly inside a folder in natural order of their names; other files and hidden ones are skipped."""

    def __init__(self, text: str) -> None:
        self._folder = Path(text)
        try:
            pictures = [path for path in self._folder.iterdir() if is_picture(path) and path.is_file()]
        except OSError as error:
            raise SourceError(f"{self._folder} cannot be listed: {error.strerror or error}.") from error
        if not pictures:
            raise SourceError(f"{self._folder} holds no pictures (.jpg, .png, ...). Give the folder that directly contains them.")
        self._paths = sorted(pictures, key=lambda path: natural_key(path.name))
        self.info = SourceInfo(name=text, frame_count=len(self._paths), pictures=tuple(path.name for path in self._paths))

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            pixels = read_picture(path)
            yield Frame(pixels, index=index, captured_s=time.monotonic(), stream=path.name)
