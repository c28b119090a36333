"""Options that several verbs share, and the checks of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from edgeseg.backends import AUTO, BACKENDS


def model_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_model_options` added, as keyword arguments of `edgeseg.load`."""
    return {name: getattr(args, name) for name in ("backend", "precision", "threads", "allow_cpu_fallback")}


def add_model_options(parser: argparse.ArgumentParser, threads: str = "CPU threads (default: all cores)") -> None:
    """``--backend``, ``--precision``, ``--threads``, of which ``threads`` is the help, and ``--allow-cpu-fallback``."""
    group = parser.add_argument_group("inference")
    group.add_argument(
        "--backend",
        default=AUTO,
        choices=(AUTO, *BACKENDS),
        metavar="NAME",
        help=f"{AUTO} or one of {', '.join(BACKENDS)} (default: %(default)s; 'edgeseg doctor' shows which are usable)",
    )
    group.add_argument(
        "--precision", default="auto", metavar="P", help="auto (fp32) or one that 'edgeseg inspect' shows (default: %(default)s)"
    )
    group.add_argument("--threads", type=whole_number(1), metavar="N", help=threads)
    group.add_argument(
        "--allow-cpu-fallback",
        action="store_true",
        help="let the CPU run what a GPU's backend cannot (default: that is an error, because it is slow)",
    )


def whole_number(least: int) -> Callable[[str], int]:
    """The argparse type of a whole number from ``least``."""

    def parse(text: str) -> int:
        value = int(text) if text.lstrip("-").isdecimal() else least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return value

    return parse


def score(text: str) -> float:
    """The argparse type of a score threshold."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
