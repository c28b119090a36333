"""``edgeseg run``: a bundle segments a source."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.backends import BUILDS
from edgeseg.cli.options import add_model_options, model_options, score, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.report import summary_text
from edgeseg.cli.serve import add_serve_options, open_page
from edgeseg.errors import UsageError
from edgeseg.model import DEFAULT_SCORE, Model, load
from edgeseg.pipeline import BETWEEN, Pipeline, StreamSettings
from edgeseg.schedule import schedule
from edgeseg.sinks import JsonlSink, Sink, WindowSink, open_maps, open_output
from edgeseg.sinks.jsonl import STDOUT
from edgeseg.sinks.panoptic import LISTING
from edgeseg.sources import open_source
from edgeseg.sources.base import SourceInfo
from edgeseg.stream import run as run_stream

_EXAMPLES = """SOURCE is a video file, a picture, a folder of pictures, a camera (0 or /dev/video0), or a made-up scene
(synthetic: or synthetic:seed=7,frames=90,size=640x360,fps=30).

examples:
  edgeseg run BUNDLE video.mp4 --out annotated.mp4
  edgeseg run BUNDLE pictures/ --out annotated/ --jsonl results.jsonl
  edgeseg run BUNDLE picture.jpg --out annotated.png --score 0.5
  edgeseg run BUNDLE 0 --show --schedule fixed:5 --overlap --track
  edgeseg run BUNDLE 0 --serve 127.0.0.1:8080 --record-dir recordings/
  edgeseg run BUNDLE video.mp4 --track --panoptic-dir maps/
  edgeseg run BUNDLE synthetic: --max-frames 10 --jsonl - | head -1
"""
_SCHEDULE_FORMS = ("every", "fixed:5", "adaptive", "deadline:33ms")


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "run",
        help="segment a video, pictures or a camera",
        description="Segment every frame of a source; write annotated pictures or video, and results as JSON lines.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument("source", metavar="SOURCE", help="what to segment, see below")
    group = parser.add_argument_group("output")
    group.add_argument("--out", metavar="FILE", help="annotated video (.mp4, .mov), picture (.png, .jpg, ...) or folder of pictures")
    group.add_argument("--jsonl", metavar="FILE", help="results as JSON, one line a frame; - is the standard output")
    group.add_argument(
        "--panoptic-dir",
        metavar="DIR",
        help="folder for panoptic maps in COCO's format: a PNG for each frame and panoptic.json; the bundle must be panoptic",
    )
    group.add_argument("--show", action="store_true", help="show the frames in a window; q or Esc stops")
    group.add_argument(
        "--score", type=score, default=DEFAULT_SCORE, help="leave out instances that score no more than this (default: %(default)s)"
    )
    group.add_argument("--max-frames", type=whole_number(1), metavar="N", help="stop after N frames")
    add_serve_options(parser)
    _add_stream_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--build",
        choices=BUILDS,
        help="where the best backend has no engines of this bundle yet: wait for them; background: start on another backend and change "
        "over when they are built; never: do without (default: wait for a --backend that is named, else background)",
    )
    parser.set_defaults(main=main)


def _add_stream_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("video")
    group.add_argument(
        "--schedule",
        default="every",
        metavar="S",
        help=f"which frames get the full network: {', '.join(_SCHEDULE_FORMS)} (default: %(default)s; docs/video.md explains them)",
    )
    group.add_argument(
        "--between",
        default="auto",
        choices=BETWEEN,
        help="what the other frames get: warp (the light graph of a video model), propagate (masks moved along the optical flow, with "
        "any model) or auto: warp where the model can and --overlap is off (default: %(default)s)",
    )
    group.add_argument("--overlap", action="store_true", help="run the full network beside the other frames, so that none waits for it")
    group.add_argument("--track", action="store_true", help="give instances ids that stay with them")
    group.add_argument("--smooth", action="store_true", help="keep the masks of tracked instances from flickering; needs --track")
    group.add_argument(
        "--faithful",
        action="store_true",
        help="with a panoptic video model (vpsnet_*), do as its original where edgeseg repairs it: the first frame goes through the flow "
        "net together with itself; with --track, ids are never forgotten, slip behind an object that has no pixel, and a frame without "
        "objects uses one up",
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    settings = StreamSettings(schedule(args.schedule), args.between, args.overlap, args.track, args.smooth, args.faithful)
    _refuse_overwriting(args)
    with ExitStack() as stack:
        # Source and outputs come first: they are checked in a moment, loading a model may take long.
        source = stack.enter_context(open_source(args.source))
        sinks = [stack.enter_context(sink) for sink in _sinks(args, source.info)]
        model = stack.enter_context(load(args.bundle, score_threshold=args.score, build=args.build, note=_note, **model_options(args)))
        _note(backend_text(model))
        pipeline = stack.enter_context(Pipeline(model, settings))
        with progress("segmenting", _total(source.info, args.max_frames)) as bar:
            summary = run_stream(source, pipeline, sinks, max_frames=args.max_frames, on_frame=lambda _: bar.advance())
    print(summary_text(summary), file=sys.stderr)
    for written in (args.out, args.jsonl, args.panoptic_dir):
        if written not in (None, STDOUT):
            print(f"wrote {written}", file=sys.stderr)
    return 0


def _note(line: str) -> None:
    print(line, file=sys.stderr)


def backend_text(model: Model) -> str:
    """Which backend runs the model, why, and on what."""
    return f"backend {model.choice.name} ({model.choice.reason}) on {model.runs_on}"


def _sinks(args: argparse.Namespace, info: SourceInfo) -> list[Sink]:
    sinks: list[Sink] = []
    if args.out is not None:
        sinks.append(open_output(args.out, fps=info.fps, frame_count=info.frame_count))
    maps = None if args.panoptic_dir is None else open_maps(args.panoptic_dir, fps=info.fps, frame_count=info.frame_count)
    if maps is not None:
        sinks.append(maps)
    if args.jsonl is not None:
        sinks.append(JsonlSink(args.jsonl, None if maps is None else maps.name_of))
    if args.show:
        sinks.append(WindowSink(f"edgeseg: {info.name}"))
    if (page := open_page(args)) is not None:
        sinks.append(page)
    return sinks


def _total(info: SourceInfo, max_frames: int | None) -> int | None:
    known = [count for count in (info.frame_count, max_frames) if count is not None]
    return min(known, default=None)


def _refuse_overwriting(args: argparse.Namespace) -> None:
    """Raise where an output would replace the source or another output."""
    source = Path(args.source)
    taken = {source.resolve()} if source.exists() else set()
    if source.is_file():
        # Annotated pictures in a folder keep the names of their originals.
        taken.add(source.resolve().parent)
    listing = None if args.panoptic_dir is None else f"{args.panoptic_dir}/{LISTING}"
    maps = (("--panoptic-dir", args.panoptic_dir), ("--panoptic-dir", listing))
    for option, text in (("--out", args.out), ("--jsonl", args.jsonl), *maps):
        if text in (None, STDOUT):
            continue
        if Path(text).resolve() in taken:
            raise UsageError(f"{option} {text} would overwrite the source or another output. Choose another name.")
        taken.add(Path(text).resolve())
