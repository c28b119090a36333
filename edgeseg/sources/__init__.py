"""The one table of sources: which of them opens what the user named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.errors import SourceError, UsageError
from edgeseg.sources import camera, folder, gstreamer, picture, rtsp, synthetic, video
from edgeseg.sources.base import Source, SourceCounts, SourceInfo
from edgeseg.sources.capture import Capture, redacted
from edgeseg.sources.latest import InTurn, Latest
from edgeseg.sources.live import LiveSource
from edgeseg.sources.settings import FOREVER, LiveSettings

__all__ = [
    "OPENERS",
    "Capture",
    "LiveSettings",
    "Opener",
    "Source",
    "SourceCounts",
    "SourceInfo",
    "may_come",
    "open_live",
    "open_source",
    "redacted",
]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+://)", re.IGNORECASE)


@dataclass(frozen=True)
class Opener:
    """One kind of source."""

    name: str
    matches: Callable[[str], bool]
    open: Callable[[str, LiveSettings], Source]
    """Files have no use for the settings."""
    reconnect: int | None = None
    """Of what is live: how many attempts a connection is worth where the user does not say."""

    def settings(self, live: LiveSettings) -> LiveSettings:
        """With the attempts of this kind of source, where the user does not say."""
        return replace(live, reconnect=self.reconnect) if live.reconnect is None else live


def open_live(capture: Capture, settings: LiveSettings | None = None) -> Source:
    """A live source from any device: its newest frames, or with ``when_late`` of ``wait`` all of them.

    Raises:
        SourceError: the device cannot be opened.
    """
    settings = settings or LiveSettings()
    source = LiveSource(capture, settings)
    return Latest(source) if settings.when_late == "drop" else InTurn(source)


def _live(capture: Callable[[str, LiveSettings], Capture]) -> Callable[[str, LiveSettings], Source]:
    return lambda text, settings: open_live(capture(text, settings), settings)


OPENERS = (
    Opener("synthetic", lambda text: text.startswith("synthetic:"), lambda text, _: synthetic.SyntheticSource(synthetic.parse(text))),
    Opener("camera", camera.matches, _live(lambda text, _: camera.CameraCapture(text)), FOREVER),
    Opener("gstreamer", gstreamer.matches, _live(lambda text, settings: gstreamer.capture(text, settings.stall_s)), 0),
    Opener("csi", gstreamer.matches_csi, _live(lambda text, settings: gstreamer.csi_capture(text, settings.stall_s)), FOREVER),
    Opener("rtsp", rtsp.matches, _live(rtsp.RtspCapture), FOREVER),
    Opener("folder", folder.matches, lambda text, _: folder.FolderSource(text)),
    Opener("picture", picture.matches, lambda text, _: picture.PictureSource(text)),
    Opener("video", video.matches, lambda text, _: video.VideoSource(text)),
)
"""The first whose ``matches`` accepts the text opens it."""


def open_source(text: str | Path, live: LiveSettings | None = None) -> Source:
    """Open a camera (``0``, ``/dev/video0``, ``csi://0``), ``rtsp://``, a GStreamer pipeline, a file, a folder or ``synthetic:``.

    Args:
        text: what to open.
        live: how cameras and streams are read.

    Raises:
        SourceError: it does not exist or holds no frame that can be read.
        UsageError: it is a kind of source that edgeseg does not read.
        MissingDependencyError: it needs a part that this OpenCV was built without.
    """
    text = str(text)
    if (opener := _opener(text)) is not None:
        return opener.open(text, opener.settings(live or LiveSettings()))
    if scheme := _SCHEME.match(text):
        raise UsageError(f"{scheme.group(1)} is not read ({redacted(text)!r}). Give rtsp://, csi://, a camera index such as 0, or a file.")
    raise SourceError(
        f"there is no file or folder {redacted(text)!r}. Give a video, a picture, a folder of pictures, a camera such as 0, rtsp:// or "
        "'synthetic:'."
    )


def may_come(text: str, live: LiveSettings) -> bool:
    """Whether what cannot be opened now may be there later: it is live, and the settings allow another attempt."""
    opener = _opener(text)
    return opener is not None and opener.reconnect is not None and bool(opener.settings(live).reconnect)


def _opener(text: str) -> Opener | None:
    return next((opener for opener in OPENERS if opener.matches(text)), None)
