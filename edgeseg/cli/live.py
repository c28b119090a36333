"""Options of cameras and network streams."""

from __future__ import annotations

import argparse
import math

from edgeseg.sources.settings import FOREVER, WHEN_LATE, LiveSettings


def add_live_options(parser: argparse.ArgumentParser) -> None:
    """``--when-late``, ``--reconnect``, ``--stall-timeout`` and ``--frozen-after``."""
    group = parser.add_argument_group("cameras and streams", "Files and folders are always read whole.")
    group.add_argument(
        "--when-late",
        choices=WHEN_LATE,
        default=LiveSettings.when_late,
        help="pictures that come while an earlier one is processed: drop all but the newest, or let them wait (default: %(default)s)",
    )
    group.add_argument(
        "--reconnect",
        type=attempts,
        metavar="HOW",
        help="never, forever, or how many attempts in a row a lost stream is worth (default: forever; never for GStreamer pipelines)",
    )
    group.add_argument(
        "--stall-timeout",
        type=seconds,
        default=LiveSettings.stall_s,
        metavar="S",
        help="seconds without a picture after which a stream counts as lost (default: %(default)g)",
    )
    group.add_argument(
        "--frozen-after",
        type=seconds,
        default=LiveSettings.frozen_s,
        metavar="S",
        help="seconds of the very same picture after which it is reported as frozen (default: %(default)g)",
    )


def live_settings(args: argparse.Namespace) -> LiveSettings:
    """What `add_live_options` added. What happens to the stream goes to the log."""
    return LiveSettings(args.when_late, args.reconnect, args.stall_timeout, args.frozen_after)


def attempts(text: str) -> int:
    """The argparse type of ``--reconnect``."""
    named = {"never": 0, "forever": FOREVER}
    if text not in named and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not never, forever or a number of attempts")
    return named[text] if text in named else int(text)


def seconds(text: str) -> float:
    """The argparse type of a positive duration in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
