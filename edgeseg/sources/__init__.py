"""The one table of sources: which of them opens what the user named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.sources import camera, folder, picture, planned, synthetic, video
from edgeseg.sources.base import Source, SourceInfo

__all__ = ["OPENERS", "Opener", "Source", "SourceInfo", "open_source"]


@dataclass(frozen=True)
class Opener:
    """One kind of source."""

    name: str
    matches: Callable[[str], bool]
    open: Callable[[str], Source]


OPENERS = (
    Opener("synthetic", lambda text: text.startswith("synthetic:"), lambda text: synthetic.SyntheticSource(synthetic.parse(text))),
    Opener("camera", camera.matches, camera.CameraSource),
    Opener("planned", planned.matches, planned.refuse),
    Opener("folder", folder.matches, folder.FolderSource),
    Opener("picture", picture.matches, picture.PictureSource),
    Opener("video", video.matches, video.VideoSource),
)
"""The first whose ``matches`` accepts the text opens it."""


def open_source(text: str | Path) -> Source:
    """Open a camera index, ``/dev/video0``, a video, a picture, a folder of pictures or ``synthetic:``.

    Raises:
        SourceError: it does not exist or holds no frame that can be read.
        UsageError: it is a kind of source that edgeseg does not read.
    """
    for opener in OPENERS:
        if opener.matches(str(text)):
            return opener.open(str(text))
    raise SourceError(
        f"there is no file or folder {str(text)!r}. Give a video, a picture, a folder of pictures, a camera index or 'synthetic:'."
    )
