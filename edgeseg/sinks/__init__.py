"""The one table of outputs: which sink writes what ``--out`` names."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.paths import is_folder
from edgeseg.sinks.base import Sink
from edgeseg.sinks.coco import CocoSink
from edgeseg.sinks.jsonl import JsonlSink
from edgeseg.sinks.panoptic import PanopticSink
from edgeseg.sinks.picture import PICTURE_SUFFIXES, FolderSink, PictureSink
from edgeseg.sinks.video import VIDEO_SUFFIXES, VideoSink
from edgeseg.sinks.web import Address, Channel, StreamSink, WebPage, WebSink
from edgeseg.sinks.window import WindowSink

__all__ = [
    "OUTPUTS", "Address", "Channel", "CocoSink", "JsonlSink", "Output", "PanopticSink", "Sink", "StreamSink", "WebPage", "WebSink",
    "WindowSink", "open_output",
]  # fmt: skip


@dataclass(frozen=True)
class Output:
    """One kind of annotated output."""

    name: str
    matches: Callable[[str], bool]
    open: Callable[[str, float | None, int | None, bool], Sink]
    """From the name, the frames a second and the number of frames of the source, None where it has none, and ``keep_names``."""


def _is_folder(text: str) -> bool:
    return text.endswith("/") or is_folder(text) or not Path(text).suffix


def _ends_in(suffixes: Collection[str], text: str) -> bool:
    return Path(text).suffix.lower() in suffixes


OUTPUTS = (
    Output("folder", _is_folder, lambda text, _fps, _count, keep_names: FolderSink(Path(text), keep_names=keep_names)),
    Output("video", lambda text: _ends_in(VIDEO_SUFFIXES, text), lambda text, fps, _count, _keep_names: VideoSink(Path(text), fps)),
    Output("picture", lambda text: _ends_in(PICTURE_SUFFIXES, text), lambda text, _fps, count, _keep_names: PictureSink(Path(text), count)),
)
"""The first whose ``matches`` accepts the name writes it."""


def open_output(text: str, *, fps: float | None, frame_count: int | None, keep_names: bool = False) -> Sink:
    """The sink for annotated frames that ``text`` names: a video, a picture or a folder of pictures.

    Args:
        text: where to write; the ending decides the format.
        fps: frames a second of the source; None for pictures and where it is not known.
        frame_count: number of frames of the source; None where it is not known.
        keep_names: name pictures in a folder like those that they come from; else by frame index.

    Raises:
        SinkError: it cannot be written there.
        UsageError: no output has that ending, or it does not fit the source.
    """
    for output in OUTPUTS:
        if output.matches(text):
            return output.open(text, fps, frame_count, keep_names)
    allowed = ", ".join(sorted(VIDEO_SUFFIXES) + sorted(PICTURE_SUFFIXES))
    raise UsageError(f"--out {text}: its ending is none that can be written ({allowed}). Give one of these, or a folder.")
