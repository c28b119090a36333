"""``edgeseg build``: TensorRT engines of a bundle, built now instead of at the first frame."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeseg.backends.tensorrt.cache import cache_folder
from edgeseg.backends.tensorrt.engines import Engine, Request, obtain
from edgeseg.backends.tensorrt.parse import PRECISIONS
from edgeseg.backends.tensorrt.target import THIS
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.cli.progress import progress
from edgeseg.cli.report import table

_EXAMPLES = """Engines go to $EDGESEG_CACHE, else to ~/.cache/edgeseg/engines, where the tensorrt backend finds them.

examples:
  edgeseg build BUNDLE
  edgeseg build BUNDLE --precision fp16,int8
  edgeseg build BUNDLE --for sm86,sm89
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "build",
        help="build the TensorRT engines of a bundle",
        description="Build the TensorRT engines of all graphs of a bundle and keep them for the runs to come.",
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
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    bundle = read_bundle(args.bundle)
    rows = [("graph", "precision", "for", "MB", "seconds", "")]
    try:
        for graph, precision in _pairs(bundle, args.precision):
            request = Request(bundle.file(graph, precision), bundle.graphs[graph], precision, tuple(args.wanted), args.force)
            rows.append((graph, precision, *_cells(_obtain(f"{graph} {precision}", request))))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("engines that were finished are kept") from None
    print(f"{table(rows, right=(3, 4))}\n\nThe engines are in {cache_folder()}")
    return 0


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

        engine = obtain(request, report, lambda line: print(line, file=sys.stderr))
        report("", 1.0)
        return engine


def _cells(engine: Engine) -> tuple[str, str, str, str]:
    seconds, state = ("", "was there") if engine.build_s is None else (f"{engine.build_s:.1f}", "built")
    return ", ".join(engine.fits), f"{len(engine.plan) / 1e6:.1f}", seconds, state
