"""Where the results of ``edgeseg run`` go, and the one table of the options that say so."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.cli.logs import note
from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.paths import is_there
from edgeseg.sinks import CocoSink, JsonlSink, PanopticSink, Sink, WindowSink, open_output
from edgeseg.sinks.jsonl import STDOUT
from edgeseg.sinks.panoptic import LISTING
from edgeseg.sources.base import SourceInfo
from edgeseg.types import Frame


@dataclass(frozen=True)
class Place:
    """An option that names a file or folder for the results of one stream, or a folder for those of several."""

    option: str
    help: str
    open: Callable[[str, SourceInfo], Sink]
    """From what the user named and the stream. Raises SinkError where it cannot be written, UsageError where it does not fit the stream."""
    ending: Callable[[SourceInfo], str]
    """Of a stream's own part, where several streams share the folder; a slash makes it a folder."""
    is_folder: bool = False
    """Whether it is one for a single stream, too."""
    listing: str | None = None
    """The file in that folder which is written whatever the frames are called."""

    def text(self, args: argparse.Namespace) -> str | None:
        """What the user named; None where the option was not given."""
        given: str | None = getattr(args, self.option.removeprefix("--").replace("-", "_"))
        return given


def _annotated(text: str, info: SourceInfo) -> Sink:
    return open_output(text, fps=info.fps, frame_count=info.frame_count, keep_names=info.holds_pictures)


PLACES = (
    Place(
        "--out",
        "annotated video (.mp4, .mov), picture (.png, .jpg, ...) or folder of pictures",
        _annotated,
        lambda info: "/" if info.holds_pictures else ".mp4",
    ),
    Place(
        "--coco",
        "instances as COCO's JSON list of detections, for pycocotools; images are numbered by the names of pictures, else by frame",
        lambda text, info: CocoSink(Path(text), info.pictures),
        lambda _: ".json",
    ),
    Place(
        "--panoptic-dir",
        "folder for panoptic maps in COCO's format: a PNG for each frame and panoptic.json; the bundle must be panoptic",
        lambda text, info: PanopticSink(Path(text), keep_names=info.holds_pictures),
        lambda _: "/",
        is_folder=True,
        listing=LISTING,
    ),
)
"""Beside these there are ``--jsonl``, whose lines hold all streams, the window and the web page."""


def add_output_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options of the table, ``--jsonl`` and ``--show``; returns their group."""
    group = parser.add_argument_group("output")
    for place in PLACES:
        group.add_argument(place.option, metavar="DIR" if place.is_folder else "FILE", help=place.help)
    group.add_argument("--jsonl", metavar="FILE", help="results as JSON, one line a frame; - is the standard output")
    group.add_argument("--show", action="store_true", help="show the frames in a window; q or Esc stops")
    return group


def open_sinks(args: argparse.Namespace, info: SourceInfo) -> list[Sink]:
    """All that the options ask for, of a run with one stream.

    Raises:
        SinkError: it cannot be written there.
        UsageError: it does not fit the source.
    """
    sinks = open_places(args, info, lambda _place, text: text)
    return [*sinks, *([] if args.jsonl is None else [JsonlSink(args.jsonl, names_of_maps(sinks))])]


def open_places(args: argparse.Namespace, info: SourceInfo, own: Callable[[Place, str], str]) -> list[Sink]:
    """Those of the table and the window, where ``own`` makes the stream's place from what the user named; raises as `open_sinks`."""
    asked = [(place, text) for place in PLACES if (text := place.text(args)) is not None]
    sinks = [place.open(own(place, text), info) for place, text in asked]
    return [*sinks, *([WindowSink(f"edgeseg: {info.name}")] if args.show else [])]


def names_of_maps(sinks: Sequence[Sink]) -> Callable[[Frame], str] | None:
    """From a frame to the file of its panoptic map; None where none are written."""
    maps = next((sink for sink in sinks if isinstance(sink, PanopticSink)), None)
    return None if maps is None else maps.name_of


def print_written(args: argparse.Namespace) -> None:
    """Say where the results are."""
    for written in (*(place.text(args) for place in PLACES), args.jsonl):
        if written not in (None, STDOUT):
            note(Event("output.written", f"wrote {written}", file=str(written)))


def refuse_overwriting(args: argparse.Namespace) -> None:
    """Raise UsageError where an output would replace a source or another output."""
    sources = [Path(source) for source in args.sources if is_there(source)]
    # Annotated pictures in a folder keep the names of their originals.
    taken = {place for source in sources for place in ((source, source.parent) if source.is_file() else (source,))}
    taken = {place.resolve() for place in taken}
    for option, path in _written(args):
        if path.resolve() in taken:
            raise UsageError(f"{option} {path} would overwrite the source or another output. Choose another name.")
        taken.add(path.resolve())


def _written(args: argparse.Namespace) -> list[tuple[str, Path]]:
    """All files and folders that the command writes, with their options."""
    named = [(place, Path(text)) for place in PLACES if (text := place.text(args)) is not None]
    listings = [(place.option, path / place.listing) for place, path in named if place.listing is not None]
    others = [("--jsonl", args.jsonl), ("--log-file", args.log_file)]
    alone = [(option, Path(text)) for option, text in others if text not in (None, STDOUT)]
    return [*((place.option, path) for place, path in named), *listings, *alone]
