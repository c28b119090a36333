"""The ``edgeseg`` command: verbs in, exit code out. The only place where errors become messages."""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import edgeseg
from edgeseg.cli import batch, bench, build, compare, demo, doctor, export_triton, inspect, run
from edgeseg.cli import eval as evaluate
from edgeseg.cli.logs import Logs, add_log_options, note, without_logins
from edgeseg.cli.signals import Terminated, sigterm_stops
from edgeseg.errors import EdgesegError
from edgeseg.events import Event
from edgeseg.ledger import PrecisionWarning

__all__ = ["main"]

PLUGINS = "edgeseg.commands"
"""Entry-point group: each entry is a function ``add_parser(subparsers)`` that sets ``main``, as the verbs here do."""
_BY_SIGNAL = 128
"""A shell's exit code for a command that a signal ended, less the number of the signal."""
_EPILOG = """examples:
  edgeseg demo
  edgeseg run BUNDLE video.mp4 --out annotated.mp4 --jsonl results.jsonl
  edgeseg doctor

'edgeseg VERB --help' shows the options and examples of one verb.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns 0 when done, 1 after a failure with a message, 2 after wrong usage, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    _quiet_opencv()
    with Logs() as logs:
        return _run(argv, logs)


def _run(argv: Sequence[str] | None, logs: Logs) -> int:
    try:
        args = _parser().parse_args(argv)
        logs.follow(args)
        with sigterm_stops(), _plain_warnings():
            code: int = args.main(args)
        sys.stdout.flush()
    except SystemExit as stop:
        # argparse has printed help, a version or what is wrong.
        return stop.code if isinstance(stop.code, int) else 2
    except EdgesegError as error:
        # An address in the wrong place of the command line may stand in any message.
        note(Event("run.failed", without_logins(str(error)), logging.ERROR, kind=type(error).__name__, exit_code=error.exit_code))
        return error.exit_code
    except KeyboardInterrupt as stop:
        state = stop.args[0] if stop.args else "outputs hold the frames up to here"
        number = stop.number if isinstance(stop, Terminated) else signal.SIGINT
        code = _BY_SIGNAL + number
        note(Event("run.stopped", f"stopped; {state}", signal=number.name, exit_code=code))
        return code
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        # A name that is too long, or leads where this user may not look: whoever gave it can do something about it.
        text = f"{without_logins(str(error.filename))}: {error.strerror}. Give another name, or change what stands in the way."
        note(Event("run.failed", text, logging.ERROR, kind=type(error).__name__, exit_code=1))
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgeseg",
        description="Real-time instance segmentation of pictures, videos and cameras.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edgeseg {edgeseg.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in (demo, run, batch, evaluate, bench, compare, inspect, build, export_triton, doctor):
        verb.add_parser(verbs)
    for entry in importlib.metadata.entry_points(group=PLUGINS):
        entry.load()(verbs)
    for verb_parser in verbs.choices.values():
        add_log_options(verb_parser)
    return parser


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print what the ledger warns of as one line, without the place in the code."""
    with warnings.catch_warnings():
        other = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, PrecisionWarning):
                note(Event("precision.doubtful", str(message), logging.WARNING))
            else:
                other(message, category, *place, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", PrecisionWarning)
        yield


def _quiet_opencv() -> None:
    """Errors are reported here in our words; OpenCV's and FFmpeg's own lines beside them would only confuse."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
