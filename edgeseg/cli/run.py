"""``edgeseg run``: a bundle segments a source."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.backends import BUILDS
from edgeseg.cli.live import add_live_options, live_settings
from edgeseg.cli.logs import note
from edgeseg.cli.options import add_model_options, model_options, score, whole_number
from edgeseg.cli.outputs import add_output_options, open_sinks, print_written, refuse_overwriting
from edgeseg.cli.report import backend_event, summary_fields, summary_text
from edgeseg.cli.run_streams import run_streams
from edgeseg.cli.serve import add_serve_options, open_page
from edgeseg.cli.status import StreamStatus, status
from edgeseg.events import Event
from edgeseg.loader import load
from edgeseg.model import DEFAULT_SCORE
from edgeseg.pipeline import BETWEEN, Pipeline, StreamSettings
from edgeseg.schedule import schedule
from edgeseg.sources import open_source
from edgeseg.stream import run as run_stream

_EXAMPLES = """SOURCE is a video file, a picture, a folder of pictures, a camera (0, /dev/video0, or csi://0 on a Jetson; csi://0 takes
?width=1280&height=720&fps=30&flip=0), a network camera (rtsp://USER:PASSWORD@HOST/PATH; the password is shown nowhere), a GStreamer
pipeline ('... ! appsink'; needs an OpenCV with GStreamer), or a made-up scene (synthetic: or
synthetic:seed=7,frames=90,size=640x360,fps=30).

Several sources share one model and take turns. --out, --panoptic-dir, --coco and --jsonl then hold all of them: one file or folder for each
in the folder of --out, with its number from 0; lines carry it as "stream". --serve shows all on one page. The key frames of fixed:N are
staggered. One that fails ends alone; the exit code is then 1. A camera that is away at the start joins when it comes.

examples:
  edgeseg run BUNDLE video.mp4 --out annotated.mp4
  edgeseg run BUNDLE pictures/ --out annotated/ --jsonl results.jsonl
  edgeseg run BUNDLE picture.jpg --out annotated.png --score 0.5
  edgeseg run BUNDLE 0 --show --schedule fixed:5 --overlap --track
  edgeseg run BUNDLE rtsp://192.168.0.10/stream1 --jsonl - --reconnect 20
  edgeseg run BUNDLE 0 --serve 127.0.0.1:8080 --record-dir recordings/
  edgeseg run BUNDLE video.mp4 --track --panoptic-dir maps/
  edgeseg run BUNDLE val2017/ --score 0.05 --coco detections.json
  edgeseg run BUNDLE 0 1 rtsp://192.168.0.10/stream1 --schedule fixed:5 --out recordings/ --jsonl all.jsonl
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
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help="what to segment, see below")
    group = add_output_options(parser)
    group.add_argument(
        "--score", type=score, default=DEFAULT_SCORE, help="leave out instances that score no more than this (default: %(default)s)"
    )
    group.add_argument("--max-frames", type=whole_number(1), metavar="N", help="stop after N frames")
    add_serve_options(parser)
    add_stream_options(parser)
    add_live_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--build",
        choices=BUILDS,
        help="where the best backend has no engines of this bundle yet: wait for them; background: start on another backend and change "
        "over when they are built; never: do without (default: wait for a --backend that is named, else background)",
    )
    parser.set_defaults(main=main)


def add_stream_options(parser: argparse.ArgumentParser, *, live: bool = True) -> None:
    """``--schedule``, ``--between``, ``--track``, ``--smooth`` and ``--faithful``; ``--overlap`` where frames come in real time."""
    group = parser.add_argument_group("video")
    forms = _SCHEDULE_FORMS if live else _SCHEDULE_FORMS[:-1]
    group.add_argument(
        "--schedule",
        default="every",
        metavar="S",
        help=f"which frames get the full network: {', '.join(forms)} (default: %(default)s; docs/video.md explains them)",
    )
    group.add_argument(
        "--between",
        default="auto",
        choices=BETWEEN,
        help="what the other frames get: warp (the light graph of a video model), propagate (masks moved along the optical flow, with "
        f"any model) or auto: warp where the model can{' and --overlap is off' if live else ''} (default: %(default)s)",
    )
    if live:
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
    refuse_overwriting(args)
    if len(args.sources) > 1:
        return run_streams(args, settings)
    with ExitStack() as stack:
        # Source and outputs come first: they are checked in a moment, loading a model may take long.
        source = stack.enter_context(open_source(args.sources[0], live_settings(args)))
        sinks = [stack.enter_context(sink) for sink in open_sinks(args, source.info)]
        if (page := open_page(args, source)) is not None:
            sinks.append(stack.enter_context(page))
        model = stack.enter_context(load(args.bundle, score_threshold=args.score, build=args.build, **model_options(args)))
        note(backend_event(model))
        pipeline = stack.enter_context(Pipeline(model, settings))
        stream = StreamStatus(source.info.name, source, args.max_frames)
        with status([stream], args.jsonl) as see:
            summary = run_stream(source, pipeline, sinks, max_frames=args.max_frames, on_frame=lambda result: see(stream, result))
    note(Event("run.summary", summary_text(summary), **summary_fields(summary)))
    print_written(args)
    return 0
