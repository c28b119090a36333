"""``edgeseg inspect``: what a bundle holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgeseg.bundle import LEDGER, Bundle, Graph, read_bundle
from edgeseg.cli.report import ledger_table, table
from edgeseg.ledger import read_ledger

_EXAMPLES = """examples:
  edgeseg inspect BUNDLE
  edgeseg inspect BUNDLE --json
"""
_LABELS_SHOWN = 10


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command's parser."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what a bundle holds",
        description="Check a bundle's files against their hashes and show what it holds.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder that 'edgeseg export' wrote")
    parser.add_argument("--json", action="store_true", help="print the manifest, with file sizes and the ledger, as JSON")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    bundle = read_bundle(args.bundle)  # checks every file against its hash
    ledger = read_ledger(bundle)
    if args.json:
        print(json.dumps({**bundle.to_json(), "file_bytes": _sizes(bundle), "ledger": ledger.to_json()["entries"]}, indent=2))
        return 0
    print(_text(bundle))
    if ledger.entries:
        print(f"\n{ledger_table(ledger)}")
    return 0


def _sizes(bundle: Bundle) -> dict[str, int]:
    return {name: (bundle.path / name).stat().st_size for name in sorted(bundle.hashes)}


def _text(bundle: Bundle) -> str:
    height, width = bundle.input.size
    names = ", ".join(label.name for label in bundle.labels[:_LABELS_SHOWN])
    more = ", ..." if len(bundle.labels) > _LABELS_SHOWN else ""
    rows = [
        ("bundle", str(bundle.path)),
        ("family", bundle.family),
        ("recipe", bundle.recipe),
        ("labels", f"{len(bundle.labels)}: {names}{more}"),
        ("input", f"{width}x{height} {bundle.input.dtype}, {bundle.input.fit}, {bundle.input.resample}"),
        *([("settings", ", ".join(f"{name} {value}" for name, value in bundle.settings.items()))] if bundle.settings else []),
        *[row for name, graph in bundle.graphs.items() for row in _graph_rows(bundle, name, graph)],
        *_shared_rows(bundle),
        ("hashes", "every file matches its SHA-256"),
        ("made with", ", ".join(f"{package} {version}" for package, version in bundle.made_with.items()) or "not recorded"),
        *([(f"parity {name}", _parity_text(value)) for name, value in bundle.parity.items()] or [("parity", "not recorded")]),
    ]
    return table(rows)


def _graph_rows(bundle: Bundle, name: str, graph: Graph) -> list[tuple[str, str]]:
    sizes = _sizes(bundle)
    return [
        (f"graph {name}", ""),
        *[(f"  {precision}", f"{file}, {sizes[file] / 1e6:.1f} MB") for precision, file in graph.files.items()],
        *[("  input", str(spec)) for spec in graph.inputs],
        *[("  output", str(spec)) for spec in graph.outputs],
        *[("  carries", f"{output} -> {target}") for target, output in graph.carry.items()],
    ]


def _shared_rows(bundle: Bundle) -> list[tuple[str, str]]:
    """The files that no graph names but all need."""
    graph_files = {file for graph in bundle.graphs.values() for file in graph.files.values()} | {LEDGER}
    return [("shared", f"{file}, {size / 1e6:.1f} MB") for file, size in _sizes(bundle).items() if file not in graph_files]


def _parity_text(value: Any) -> str:
    """What the exporter measured, in whatever form this bundle records it."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_parity_text(entry)}" for key, entry in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
