"""``edgeseg build``: TensorRT engines of a bundle, built now instead of at the first frame."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeseg.backends.tensorrt.cache import cache_folder
from edgeseg.backends.tensorrt.engines import Engine, Request, obtain
from edgeseg.backends.tensorrt.parse import PRECISIONS
from edgeseg.backends.tensorrt.target import THIS
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.cli import engine_parity
from edgeseg.cli.logs import note
from edgeseg.cli.progress import progress
from edgeseg.cli.report import table
from edgeseg.events import Event
from edgeseg.ledger import Entry

_EXAMPLES = """Engines go to $EDGESEG_CACHE, else to ~/.cache/edgeseg/engines, where the tensorrt backend finds them.

examples:
  edgeseg build BUNDLE
  edgeseg build BUNDLE --precision fp16,int8
  edgeseg build BUNDLE --for sm86,sm89
  edgeseg build BUNDLE --precision int8 --pictures street.mp4
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "build",
        help="build the TensorRT engines of a bundle",
        description="Build the TensorRT engines of all graphs of a bundle and keep them for the runs to come. Where their GPU is, "
        "they are compared with the same graphs on the CPU.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument(
        "--precision",
        action="extend",
        type=_names,
        metavar="P",
        help=f"one or more of {', '.join(PRECISIONS)}, with commas between (default: all that the bundle has)",
    )
    parser.add_argument(
        "--for",
        dest="wanted",
        default=[THIS],
        type=_names,
        metavar="GPUS",
        help="this GPU, or generations such as sm86,sm89, which TensorRT-RTX can build for from anywhere (default: this)",
    )
    parser.add_argument("--force", action="store_true", help="build again what is there")
    parser.add_argument(
        "--pictures",
        metavar="SOURCE",
        help=f"compare on the first {engine_parity.FRAMES} frames of it (default: made-up scenes)",
    )
    parser.add_argument("--accept-loss", action="store_true", help="take engines that differ by more than their precision's budget")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    bundle = read_bundle(args.bundle)
    built: dict[tuple[str, str], Engine] = {}
    try:
        for graph, precision in _pairs(bundle, args.precision):
            request = Request(bundle.file(graph, precision), bundle.graphs[graph], precision, tuple(args.wanted), args.force)
            built[graph, precision] = _obtain(f"{graph} {precision}", request)
        compared = {precision: _compare(bundle, precision, args) for precision in dict.fromkeys(precision for _, precision in built)}
    except KeyboardInterrupt as stop:
        raise type(stop)("engines that were finished are kept") from None
    rows = [("graph", "precision", "for", "MB", "seconds", "", "compared with the graph on the CPU")]
    for (graph, precision), engine in built.items():
        outcome = compared[precision]
        told = f"not run: {outcome}" if isinstance(outcome, str) else engine_parity.sentence(outcome[graph])
        rows.append((graph, precision, *_cells(engine), told))
    print(f"{table(rows, right=(3, 4))}\n\nThe engines are in {cache_folder()}")
    return _verdict([entry for outcome in compared.values() if not isinstance(outcome, str) for entry in outcome.values()])


def _compare(bundle: Bundle, precision: str, args: argparse.Namespace) -> str | dict[str, Entry]:
    """Graph -> how near the engine is, which is also written beside the engine; or why that is not known."""
    if why := engine_parity.obstacle(bundle, precision):
        return why
    with progress(f"comparing {precision}", total=engine_parity.FRAMES) as bar:
        found = engine_parity.compare(bundle, precision, args.pictures, bar.advance)
    told = {graph: replace(entry, accepted=args.accept_loss and bool(entry.over())) for graph, entry in found.items()}
    for entry in told.values():
        engine_parity.keep(bundle, entry)
    return told


def _verdict(entries: Sequence[Entry]) -> int:
    """Say of every engine that is over its budget in what; returns the exit code."""
    over = [entry for entry in entries if entry.over()]
    for entry in over:
        text = f"the engine of {entry.graph} in {entry.precision}: {'; '.join(entry.over())}"
        note(Event("engine.lossy", text, logging.WARNING, graph=entry.graph, precision=entry.precision))
    if refused := [entry for entry in over if not entry.accepted]:
        text = f"{len(refused)} over budget. --accept-loss takes them, --backend onnxruntime needs none"
        note(Event("engine.refused", text, logging.ERROR, engines=len(refused)))
    return 1 if refused else 0


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names with commas between")
    return names


def _pairs(bundle: Bundle, asked: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Graph and precision of each engine."""
    for name, graph in bundle.graphs.items():
        for precision in dict.fromkeys(asked or [found for found in graph.files if found in PRECISIONS]):
            yield name, precision


def _obtain(label: str, request: Request) -> Engine:
    with progress(label, total=100) as bar:
        shown = 0

        def report(phase: str, fraction: float) -> None:
            nonlocal shown
            bar.advance(int(fraction * 100) - shown, phase)
            shown = int(fraction * 100)

        engine = obtain(request, report, note)
        report("", 1.0)
        return engine


def _cells(engine: Engine) -> tuple[str, str, str, str]:
    seconds, state = ("", "was there") if engine.build_s is None else (f"{engine.build_s:.1f}", "built")
    return ", ".join(engine.fits), f"{len(engine.plan) / 1e6:.1f}", seconds, state
