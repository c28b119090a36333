"""``edgeseg compare``: whether one result of ``edgeseg bench`` is faster than another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.benchmark.comparison import Comparison, compare_unpaired
from edgeseg.benchmark.doubts import PARTS
from edgeseg.benchmark.record import Record, read_record
from edgeseg.cli.bench_report import NAMES, comparison_rows
from edgeseg.cli.options import whole_number
from edgeseg.errors import EvaluationError, UsageError
from edgeseg.types import Step

_EXAMPLES = """Medians are compared, with a bootstrap that takes what varied within each run for what may vary from run to run. So results
of a machine that was busy prove little. A difference below 2 % is never called one: run the same thing twice and see.

examples:
  edgeseg compare before.json after.json
  edgeseg compare fp32.json int8.json --different
"""
_CONDITIONS = ("machine", "backend", "run", "source", "threads", "score")
"""Parts of a record that should agree."""


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "compare",
        help="say whether one result of 'edgeseg bench' is faster than another",
        description="Compare two results of 'edgeseg bench --json': faster, slower or not significant.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("first", metavar="A.json", type=Path, help="what to compare with")
    parser.add_argument("second", metavar="B.json", type=Path, help="what is faster, slower or neither")
    parser.add_argument("--different", action="store_true", help="compare them although they measured different models or precisions")
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="of the bootstrap (default: %(default)s)")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    first, second = read_record(args.first), read_record(args.second)
    if first.artefact != second.artefact and not args.different:
        raise UsageError(
            f"{first.path} and {second.path} measured different things: {_difference_of_artefacts(first, second)}. Measure the same, "
            "or compare them all the same with --different."
        )
    print(comparison_rows(_compare(first, second, args.seed)))
    for name in _CONDITIONS:
        if first.content[name] != second.content[name]:
            print(f"they differ in {name}: {_text(first.content[name], second.content[name])}")
    for held in (first, second):
        for doubt in held.content["doubts"]:
            print(f"{held.path}: {doubt['text']}")
    return 0


def _compare(first: Record, second: Record, seed: int) -> dict[tuple[str, str], tuple[float, float, Comparison]]:
    """Each duration of each step that both have often enough."""
    found = {}
    for what in NAMES:
        for step in [step.value for step in Step if step is not Step.DROP]:
            both = first.durations_s(what, step), second.durations_s(what, step)
            if min(map(len, both)) >= PARTS:
                found[what, step] = (float(np.median(both[0])), float(np.median(both[1])), compare_unpaired(*both, seed))
    if not found:
        raise EvaluationError(
            f"{first.path} and {second.path} have no kind of frame of which both hold at least {PARTS}. Measure more frames, with the same "
            "--run."
        )
    return found


def _difference_of_artefacts(first: Record, second: Record) -> str:
    if first.content["precision"] != second.content["precision"]:
        return f"precision {first.content['precision']} and {second.content['precision']}"
    names = [held.content["bundle"]["recipe"] for held in (first, second)]
    return f"{names[0]} and {names[1]}" if names[0] != names[1] else "the bundles' files differ"


def _text(first: Any, second: Any) -> str:
    """Two values of a record, of mappings only what differs."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
        return "; ".join(f"{name} {_text(first.get(name), second.get(name))}" for name in names)
    return f"{first} and {second}"
