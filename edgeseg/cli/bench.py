"""``edgeseg bench``: how fast a bundle is here, and how far to believe it."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.backends import BACKENDS, WAIT
from edgeseg.backends.tensorrt.engines import Request, fingerprint
from edgeseg.benchmark.doubts import doubts
from edgeseg.benchmark.machine import machine
from edgeseg.benchmark.measure import Plan, measure, repeated
from edgeseg.benchmark.nvml import watched_gpu
from edgeseg.benchmark.record import record
from edgeseg.benchmark.sensors import Watch, read_sensors
from edgeseg.bundle import Bundle
from edgeseg.cli.bench_report import record_text
from edgeseg.cli.jetson import find_jetson
from edgeseg.cli.logs import note
from edgeseg.cli.options import add_model_options, model_options, score, whole_number
from edgeseg.cli.progress import progress
from edgeseg.cli.report import backend_event
from edgeseg.cli.turns import parse_run
from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.loader import DEFAULT_PRECISION, load
from edgeseg.model import DEFAULT_SCORE, Model
from edgeseg.pipeline import Pipeline
from edgeseg.sinks.target import check_file, write_error
from edgeseg.sources import open_source
from edgeseg.sources.base import Source

_SOURCE = "synthetic:"
_FRAMES, _SECONDS, _WARM_UP = 1000, 60, 20
_EXAMPLES = """Frames come one at a time: the next is read when the last one's result is complete, its masks encoded. Files are read again
and again. The time from capture to result is the whole of it but reading; 'infer' is the graph alone. Warm-up frames are kept apart.
What makes the numbers doubtful is said below them: too few samples, a changing speed, a machine that is busy or too hot.

RUN is SCHEDULE[+warp|+propagate][+track][+smooth][+faithful], as in 'edgeseg eval'.

examples:
  edgeseg bench BUNDLE
  edgeseg bench BUNDLE video.mp4 --run fixed:5+propagate+track --json before.json
  edgeseg bench BUNDLE --precision int8 --backend openvino --seconds 600 --frames 100000
  edgeseg compare before.json after.json
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "bench",
        help="measure how fast a bundle is on this machine",
        description="Measure the time of the graphs alone and from capture to result, and say how far to believe it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", default=_SOURCE, help="what 'edgeseg run' takes as a source (default: %(default)s)"
    )
    parser.add_argument("--run", default="every", metavar="RUN", help="how the stream is processed (default: %(default)s)")
    group = parser.add_argument_group("length")
    group.add_argument("--frames", type=whole_number(1), default=_FRAMES, metavar="N", help="at most (default: %(default)s)")
    group.add_argument("--seconds", type=whole_number(1), default=_SECONDS, metavar="S", help="at most (default: %(default)s)")
    group.add_argument("--warm-up", type=whole_number(1), default=_WARM_UP, metavar="N", help="frames before (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers, with every duration, as JSON")
    parser.add_argument("--score", type=score, default=DEFAULT_SCORE, help="as for 'edgeseg run' (default: %(default)s)")
    add_model_options(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    run = parse_run(args.run)
    if run.settings.overlap:
        raise UsageError("bench measures frames one at a time, and overlapped key frames run beside others. Leave +overlap out.")
    if args.json is not None:
        check_file(args.json)
    plan = Plan(args.frames, args.seconds, args.warm_up)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(args.source))
        begin_s = time.monotonic()
        model = stack.enter_context(load(args.bundle, score_threshold=args.score, build=WAIT, **model_options(args)))
        facts = {**_facts(args, model, source), "load_s": round(time.monotonic() - begin_s, 3)}
        note(backend_event(model))
        pipeline = stack.enter_context(Pipeline(model, run.settings))
        watch = Watch(partial(read_sensors, gpu=stack.enter_context(watched_gpu())))
        with progress("measuring", plan.warm_up + plan.frames) as bar:
            frames = repeated(source, lambda: open_source(args.source))
            samples = measure(pipeline, frames, plan, watch, on_frame=bar.advance)
            frames.close()
    found = record(samples, doubts(samples), facts)
    print(record_text(found))
    if args.json is not None:
        _write(args.json, found)
    return 0


def _facts(args: argparse.Namespace, model: Model, source: Source) -> dict[str, Any]:
    """What is measured, and on what."""
    bundle, jetson, info = model.bundle, find_jetson(), source.info
    precision = DEFAULT_PRECISION if args.precision == "auto" else args.precision
    return {
        "bundle": {"name": bundle.path.name, "recipe": bundle.recipe, "family": bundle.family, "hashes": dict(bundle.hashes)},
        "precision": precision,
        "input_size": list(bundle.input.size),
        "backend": {
            "name": model.choice.name,
            "version": BACKENDS[model.choice.name].probe().version,
            "runs_on": model.runs_on,
            **({"engines": _engines(bundle, precision)} if model.choice.name == "tensorrt" else {}),
        },
        "threads": args.threads,
        "run": args.run,
        "score": args.score,
        "source": {"name": info.name, "image_size": None if info.image_hw is None else list(info.image_hw)},
        "machine": {**machine(), **({} if jetson is None else {"board": f"{jetson.model}, {jetson.jetpack}"})},
    }


def _engines(bundle: Bundle, precision: str) -> dict[str, str | None]:
    """Graph -> SHA-256 of the TensorRT engine that ran it. An engine is no part of the bundle."""
    return {name: fingerprint(Request(bundle.file(name, precision), graph, precision)) for name, graph in bundle.graphs.items()}


def _write(file: Path, found: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise write_error(file, error) from error
    note(Event("output.written", f"wrote {file}", file=str(file)))
