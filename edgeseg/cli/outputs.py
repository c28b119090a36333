"""Where the results of ``edgeseg run`` go."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeseg.cli.logs import note
from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.sinks import CocoSink, JsonlSink, PanopticSink, Sink, WindowSink, open_output
from edgeseg.sinks.jsonl import STDOUT
from edgeseg.sinks.panoptic import LISTING
from edgeseg.sources.base import SourceInfo


def open_sinks(args: argparse.Namespace, info: SourceInfo) -> list[Sink]:
    """All that the options ask for.

    Raises:
        SinkError: it cannot be written there.
        UsageError: it does not fit the source.
    """
    sinks: list[Sink] = []
    if args.out is not None:
        sinks.append(open_output(args.out, fps=info.fps, frame_count=info.frame_count, keep_names=info.holds_pictures))
    maps = None if args.panoptic_dir is None else PanopticSink(Path(args.panoptic_dir), keep_names=info.holds_pictures)
    if maps is not None:
        sinks.append(maps)
    if args.jsonl is not None:
        sinks.append(JsonlSink(args.jsonl, None if maps is None else maps.name_of))
    if args.coco is not None:
        sinks.append(CocoSink(Path(args.coco), info.pictures))
    if args.show:
        sinks.append(WindowSink(f"edgeseg: {info.name}"))
    return sinks


def print_written(args: argparse.Namespace) -> None:
    """Say where the results are."""
    for written in (args.out, args.jsonl, args.coco, args.panoptic_dir):
        if written not in (None, STDOUT):
            note(Event("output.written", f"wrote {written}", file=str(written)))


def refuse_overwriting(args: argparse.Namespace) -> None:
    """Raise UsageError where an output would replace a source or another output."""
    sources = [source for source in map(Path, args.sources) if source.exists()]
    # Annotated pictures in a folder keep the names of their originals.
    taken = {place for source in sources for place in ((source, source.parent) if source.is_file() else (source,))}
    taken = {place.resolve() for place in taken}
    listing = None if args.panoptic_dir is None else f"{args.panoptic_dir}/{LISTING}"
    maps = (("--panoptic-dir", args.panoptic_dir), ("--panoptic-dir", listing))
    log = None if args.log_file is None else str(args.log_file)
    for option, text in (("--out", args.out), ("--jsonl", args.jsonl), ("--coco", args.coco), *maps, ("--log-file", log)):
        if text in (None, STDOUT):
            continue
        if Path(text).resolve() in taken:
            raise UsageError(f"{option} {text} would overwrite the source or another output. Choose another name.")
        taken.add(Path(text).resolve())
