"""``edgeseg quantize``: precisions are added to a bundle, without the checkpoint that it was made from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgeseg.bundle import read_bundle
from edgeseg.cli.progress import progress

from .cli import add_precision_options, print_ledger, worker

EXAMPLES = """examples:
  edgeseg quantize r50 --precision fp16,int8 --calibration street.mp4 --out r50-small
  edgeseg quantize BUNDLE --precision int8 --calibration synthetic: --pictures synthetic: --out BUNDLE
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "quantize",
        help="add fp16 and int8 graphs to a bundle",
        description="Add graphs of reduced precision to a bundle, measured against its float32 graphs on pictures. Layers that would lose "
        "more than the budget allows are left in float32.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="bundle folder to write; may be the same")
    add_precision_options(parser, required=True)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    reduce = worker(".reduce", "onnx", "onnxruntime")
    _, reduction = reduce.reduction_of(args, read_bundle(args.bundle).labels)
    with progress("quantize", total=None) as bar:
        bundle = reduce.quantise(args.bundle, args.out, reduction, lambda what: bar.advance(1, detail=what))
    print_ledger(bundle)
    print(f"wrote {args.out}")
    return 0
