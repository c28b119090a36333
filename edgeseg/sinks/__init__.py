"""The one table of outputs: which sink writes what ``--out`` names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.sinks.base import Sink
from edgeseg.sinks.jsonl import JsonlSink
from edgeseg.sinks.panoptic import PanopticSink
from edgeseg.sinks.picture import PICTURE_SUFFIXES, FolderSink, PictureSink
from edgeseg.sinks.video import VIDEO_SUFFIXES, VideoSink
from edgeseg.sinks.web import Address, WebSink
from edgeseg.sinks.window import WindowSink

__all__ = ["OUTPUTS", "Address", "JsonlSink", "Output", "PanopticSink", "Sink", "WebSink", "WindowSink", "open_maps", "open_output"]


@dataclass(frozen=True)
class Output:
    """One kind of annotated output."""

    name: str
    matches: Callable[[str], bool]
    open: Callable[[str, float | None, int | None], Sink]
    """From the name, the frames a second and the number of frames of the source, None where it has none."""


def _is_folder(text: str) -> bool:
    return text.endswith("/") or Path(text).is_dir() or not Path(text).suffix


def _holds_pictures(fps: float | None, frame_count: int | None) -> bool:
    """Whether a source is pictures, which have names, and no stream."""
    return fps is None and frame_count is not None


OUTPUTS = (
    Output("folder", _is_folder, lambda text, fps, count: FolderSink(Path(text), keep_names=_holds_pictures(fps, count))),
    Output("video", lambda text: Path(text).suffix.lower() in VIDEO_SUFFIXES, lambda text, fps, _count: VideoSink(Path(text), fps)),
    Output("picture", lambda text: Path(text).suffix.lower() in PICTURE_SUFFIXES, lambda text, _fps, count: PictureSink(Path(text), count)),
)
"""The first whose ``matches`` accepts the name writes it."""


def open_output(text: str, *, fps: float | None, frame_count: int | None) -> Sink:
    """The sink for annotated frames that ``text`` names: a video, a picture or a folder of pictures.

    Args:
        text: where to write; the ending decides the format.
        fps: frames a second of the source; None for pictures and where it is not known.
        frame_count: number of frames of the source; None where it is not known.

    Raises:
        SinkError: it cannot be written there.
        UsageError: no output has that ending, or it does not fit the source.
    """
    for output in OUTPUTS:
        if output.matches(text):
            return output.open(text, fps, frame_count)
    allowed = ", ".join(sorted(VIDEO_SUFFIXES) + sorted(PICTURE_SUFFIXES))
    raise UsageError(f"--out {text}: its ending is none that can be written ({allowed}). Give one of these, or a folder.")


def open_maps(text: str, *, fps: float | None, frame_count: int | None) -> PanopticSink:
    """The sink for panoptic maps in a folder.

    Args:
        text: the folder; it is created where its parent exists.
        fps, frame_count: of the source, as for `open_output`.

    Raises:
        SinkError: it cannot be written there.
    """
    return PanopticSink(Path(text), keep_names=_holds_pictures(fps, frame_count))
