"""``edgeseg export-triton``: a bundle as a model repository for Triton."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from edgeseg.bundle import read_bundle
from edgeseg.cli.logs import note
from edgeseg.events import Event
from edgeseg.ledger import caution
from edgeseg.loader import DEFAULT_PRECISION
from edgeseg.triton import export_repository

_EXAMPLES = """examples:
  edgeseg export-triton BUNDLE --out models
  edgeseg export-triton BUNDLE --out models --precision fp16 --name street
  tritonserver --model-repository=$PWD/models

docs/serving.md shows a client.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "export-triton",
        help="write a model repository for NVIDIA's Triton server",
        description="Write a model repository for Triton: a model for each graph of a bundle, checked by running it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the repository; an earlier export there is replaced")
    parser.add_argument(
        "--precision", metavar="P", default=DEFAULT_PRECISION, help="one that 'edgeseg inspect' shows (default: %(default)s)"
    )
    parser.add_argument("--name", help="what the models are called, before _key, _warp and _fuse (default: the bundle's recipe)")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    bundle = read_bundle(args.bundle)
    names = export_repository(bundle, args.out, args.precision, bundle.recipe if args.name is None else args.name)
    if message := caution(bundle, args.precision, bundle.graphs):
        note(Event("precision.doubtful", message, logging.WARNING))
    print(f"wrote {args.out} with the models {', '.join(names)}")
    return 0
