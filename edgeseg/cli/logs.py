"""Where messages go: to the standard error, for people or as JSON lines, and to a log file (docs/service.md)."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeseg.errors import UsageError
from edgeseg.events import Event
from edgeseg.sinks.target import check_file, encoded, write_all, write_error
from edgeseg.sources import redacted

TEXT, JSON = "text", "json"
_ALL = logging.getLogger("edgeseg")
_CLI = logging.getLogger("edgeseg.cli")
_BEFORE = {
    "run.failed": "edgeseg: error: ",
    "run.stopped": "\nedgeseg: ",  # the terminal has just printed ^C
    "engine.refused": "edgeseg: error: ",
    "engine.lossy": "edgeseg: warning: ",
    "precision.doubtful": "edgeseg: warning: ",
}
"""What stands before the text of an event for people."""
_FIRST_KEY = '{"time": "'
"""How every line of a log file begins."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/\S+", re.IGNORECASE)
"""Also one that was taken for a file, which leaves one slash of it."""


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """``--quiet``, ``--log-format`` and ``--log-file``."""
    group = parser.add_argument_group("messages")
    group.add_argument("--quiet", action="store_true", help="print nothing but results, and errors to the standard error")
    group.add_argument(
        "--log-format",
        choices=(TEXT, JSON),
        default=TEXT,
        help="of messages on the standard error: text, or one JSON object a line (default: %(default)s; docs/service.md lists them)",
    )
    group.add_argument("--log-file", type=Path, metavar="FILE", help="append all messages to a file as JSON lines, --quiet or not")


def note(line: str) -> None:
    """Tell the user something that is no result."""
    if _console() is None:
        # A script that uses a part of the command line.
        print(line, file=sys.stderr)
    else:
        _CLI.log(line.level if isinstance(line, Event) else logging.INFO, line)


def shows_bars() -> bool:
    """Whether the standard error is a terminal, and what moves there is wanted."""
    console = _console()
    return sys.stderr.isatty() and (console is None or console.is_for_people)


def hides_notes() -> bool:
    """Whether what is told with `note` does not reach the standard error as it is."""
    console = _console()
    return console is not None and not console.is_for_people


def _console() -> _Console | None:
    return next((handler for handler in _ALL.handlers if isinstance(handler, _Console)), None)


class Logs:
    """Takes the records of all loggers of edgeseg for as long as a command runs. A context manager."""

    def __enter__(self) -> Logs:
        self._before = (_ALL.level, _ALL.propagate)
        self._console = _Console()
        self._handlers: list[logging.Handler] = [self._console]
        _ALL.addHandler(self._console)
        _ALL.setLevel(logging.INFO)
        _ALL.propagate = False
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for handler in self._handlers:
            _ALL.removeHandler(handler)
            handler.close()
        level, _ALL.propagate = self._before
        _ALL.setLevel(level)

    def follow(self, args: argparse.Namespace) -> None:
        """Do as the options of `add_log_options` say.

        Raises:
            SinkError: the log file cannot be written.
            UsageError: the file holds something else than a log.
        """
        if args.log_format == JSON:
            self._console.setFormatter(JsonLines())
        if args.quiet:
            self._console.setLevel(logging.ERROR)
        if args.log_file is not None:
            _check_log(args.log_file)
            self._handlers.append(_LogFile(args.log_file))
            _ALL.addHandler(self._handlers[-1])


class Lines(logging.Formatter):
    """Records as lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        before = _BEFORE.get(record.msg.name, "") if isinstance(record.msg, Event) else ""
        return before + record.getMessage()


class JsonLines(logging.Formatter):
    """Records as JSON, one line each: time (UTC, ISO 8601), level, logger, event, message, and the event's fields. No credentials."""

    def format(self, record: logging.LogRecord) -> str:
        event = record.msg if isinstance(record.msg, Event) else Event("message", record.getMessage())
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event.name,
            "message": str(event),
            **event.fields,
        }
        return json.dumps(_without_credentials(told), ensure_ascii=False, default=str)


def _without_credentials(value: Any) -> Any:
    """The same value with what could be a credential left out of every address: messages may hold one that was meant for a terminal."""
    if isinstance(value, dict):
        return {key: _without_credentials(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_credentials(entry) for entry in value]
    return without_logins(str(value)) if isinstance(value, str | Path) else value


def without_logins(text: str) -> str:
    """The same text with what could be a credential left out of every address."""
    return _ADDRESS.sub(lambda found: redacted(found[0]), text)


class _Console(logging.Handler):
    """Prints to whatever the standard error is at that time: a progress bar puts itself before it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(Lines())

    @property
    def is_for_people(self) -> bool:
        return isinstance(self.formatter, Lines) and self.level <= logging.INFO

    def emit(self, record: logging.LogRecord) -> None:
        # Whoever read the messages may have gone; the results are still wanted.
        with contextlib.suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)


class _LogFile(logging.Handler):
    """A file that is opened for each line, of which there are few: it may be moved away at any time, as logrotate does."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines())
        self._file = file
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with self._file.open("ab", buffering=0) as stream:
                write_all(stream, encoded(self.format(record)) + b"\n")
        except OSError as error:
            # A log ends no run.
            if not self._told:
                self._told = True
                print(f"edgeseg: warning: {write_error(self._file, error)} Messages are missing there.", file=sys.stderr)


def _check_log(file: Path) -> None:
    """Raise SinkError where no log can be written, and UsageError rather than append to a video."""
    check_file(file)
    if not file.is_file():
        return
    with file.open("rb") as held:
        head = held.read(len(_FIRST_KEY))
    if head and head != _FIRST_KEY.encode():
        raise UsageError(f"--log-file {file} exists and is no log of edgeseg. Choose another name.")
