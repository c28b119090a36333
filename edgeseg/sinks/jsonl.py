"""Results as JSON, one line a frame (docs/jsonl.md)."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from edgeseg.errors import SinkError
from edgeseg.sinks.base import Sink
from edgeseg.sinks.target import check_file, encoded, write_all, write_error
from edgeseg.types import Frame, Result

STDOUT = "-"
_DIGITS = 9
"""Significant digits: what a float32 needs to be read back exactly."""


class JsonlSink(Sink):
    """A file that holds a whole line for every frame so far, at any time; ``-`` is the standard output.

    The file is opened at the first frame: a run that fails before it leaves an older file alone.

    Args:
        target: where to write.
        map_name: what the file of a frame's panoptic map is called, where there are such files.
    """

    def __init__(self, target: str, map_name: Callable[[Frame], str] | None = None) -> None:
        self._map_name = map_name
        self._path = Path(target)
        self._to_stdout = target == STDOUT
        self._stream: BinaryIO | None = None
        self._size = 0
        if not self._to_stdout:
            check_file(self._path)

    def write(self, frame: Frame, result: Result) -> None:
        self.write_record(frame, _record(frame, result, self._map_name))

    def of_stream(self, number: int, map_name: Callable[[Frame], str] | None = None) -> Sink:
        """A sink for one of several streams that share the file; its lines say which one. Closing it leaves the file open."""
        return _StreamLines(self, number, map_name)

    def write_record(self, frame: Frame, record: Mapping[str, Any]) -> None:
        """Write what was found in a frame as a line.

        Raises:
            SinkError: it cannot be written, or holds numbers that JSON cannot.
        """
        line = encoded(text_of(frame, record)) + b"\n"
        try:
            self._write_line(line)
        except BrokenPipeError:
            self.wants_stop = True  # the program that reads our output has enough
        except OSError as error:
            self._drop_half_line()
            raise write_error(self._path, error) from error
        self._size += len(line)

    def close(self) -> None:
        if self._stream is not None and not self._to_stdout:
            # An interrupt may have come in the middle of a line.
            self._drop_half_line()
            self._stream.close()
        self._stream = None

    def _write_line(self, line: bytes) -> None:
        if self._stream is None:
            self._stream = sys.stdout.buffer if self._to_stdout else self._path.open("wb", buffering=0)
        write_all(self._stream, line)
        self._stream.flush()

    def _drop_half_line(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            if self._stream is not None and not self._stream.closed:
                self._stream.truncate(self._size)


class _StreamLines(Sink):
    """See `JsonlSink.of_stream`."""

    def __init__(self, lines: JsonlSink, number: int, map_name: Callable[[Frame], str] | None) -> None:
        self._lines, self._number, self._map_name = lines, number, map_name

    def write(self, frame: Frame, result: Result) -> None:
        self._lines.write_record(frame, {"stream": self._number, **_record(frame, result, self._map_name)})
        self.wants_stop = self._lines.wants_stop


def _record(frame: Frame, result: Result, map_name: Callable[[Frame], str] | None) -> dict[str, Any]:
    """A result with the file of its panoptic map."""
    record = result.to_json()
    if map_name is not None and "panoptic" in record:
        record["panoptic"] = {"file": map_name(frame), **record["panoptic"]}
    return record


def text_of(frame: Frame, record: Mapping[str, Any]) -> str:
    """What was found in a frame as JSON without line ends.

    Raises:
        SinkError: it holds numbers that JSON cannot.
    """
    try:
        return json.dumps(_shorten(record), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise SinkError(f"frame {frame.index} gave numbers that are not finite, which JSON cannot hold. Export the model again.") from error


def _shorten(value: Any) -> Any:
    """The same value with floats of at most ``_DIGITS`` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _shorten(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_shorten(entry) for entry in value]
    return value
