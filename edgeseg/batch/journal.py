"""The journal of a result folder: a line with the settings, then lines of clips, of which the last one of a clip counts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.batch.fingerprint import Fingerprint
from edgeseg.errors import UsageError
from edgeseg.sinks.target import write_error

JOURNAL = "batch.jsonl"
WAITING, DONE, FAILED = "waiting", "done", "failed"
_FORMAT, _VERSION = "edgeseg-batch", 1
_LONGEST = 240
"""Bytes of a name before its number and ending; file systems take 255."""


@dataclass(frozen=True)
class Entry:
    """What is known of one clip."""

    source: str
    """Absolute path."""
    name: str
    """Of its files in the folder, without their endings."""
    state: str = WAITING
    frames: int = 0
    instances: int = 0
    files: Mapping[str, int] = field(default_factory=dict)
    """Names of result files -> bytes."""
    fingerprint: Fingerprint | None = None
    """Of the source that the results are of."""
    error: str = ""


class Journal:
    """Entries by source, in memory and in a file whose lines are whole."""

    def __init__(self, path: Path, settings: Mapping[str, Any], entries: Iterable[Entry] = ()) -> None:
        self._path = path
        self._settings = dict(settings)
        self.entries = {entry.source: entry for entry in entries}

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, Any]) -> Journal:
        """The journal at a path, new where there is none.

        Raises:
            UsageError: its results were made with other settings, it is no journal, or cannot be read.
        """
        if not path.exists():
            return cls(path, settings)
        try:
            header, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}. Give another folder.") from error
        before = _settings(header)
        if before is None:
            raise UsageError(f"{path} is not the journal of an 'edgeseg batch'. Give another folder.")
        if others := [name for name in {**before, **settings} if before.get(name) != settings.get(name)]:
            told = ", ".join(f"{name} {before.get(name)} instead of {settings.get(name)}" for name in others)
            raise UsageError(f"{path.parent} holds results of other settings: {told}. Give another folder, or the settings of before.")
        return cls(path, settings, filter(None, map(_entry, lines)))

    def add(self, sources: Iterable[str], there: Iterable[str] = ()) -> None:
        """Give clips that are new here their names: of the file, with a number where that is taken, by a clip or a file that is there."""
        taken = {entry.name for entry in self.entries.values()} | {Path(JOURNAL).stem} | {Path(name).stem for name in there}
        for source in sources:
            if source not in self.entries:
                name = _free_name(Path(source).stem, taken)
                taken.add(name)
                self.entries[source] = Entry(source, name)

    def record(self, entry: Entry) -> None:
        """Note what became of a clip.

        Raises:
            SinkError: the file cannot be written.
        """
        self.entries[entry.source] = entry
        try:
            with self._path.open("ab") as stream:
                stream.write(_line(asdict(entry)))
        except OSError as error:
            raise write_error(self._path, error) from error

    def write(self) -> None:
        """Write the file anew, with one line for each clip.

        Raises:
            SinkError: the file cannot be written; the old one stays.
        """
        partial = self._path.with_name(f".{self._path.name}.partial")
        header = {"format": _FORMAT, "version": _VERSION, "settings": self._settings}
        try:
            with partial.open("wb") as stream:
                stream.write(_line(header) + b"".join(_line(asdict(entry)) for entry in self.entries.values()))
                stream.flush()
                # Else a power cut may leave the new name without the bytes, and nobody knows any more what is done.
                os.fsync(stream.fileno())
            partial.replace(self._path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise write_error(self._path, error) from error


def _free_name(stem: str, taken: set[str]) -> str:
    while len(os.fsencode(stem)) > _LONGEST:
        stem = stem[:-1]
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def _line(record: Mapping[str, Any]) -> bytes:
    # ASCII: a file's name may hold what no encoding of text can.
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _settings(header: str) -> dict[str, Any] | None:
    try:
        found = json.loads(header)
        return dict(found["settings"]) if (found["format"], found["version"]) == (_FORMAT, _VERSION) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _entry(line: str) -> Entry | None:
    """None for the half of a line that a power cut leaves, and for one that names files elsewhere: that clip is processed again."""
    try:
        record = json.loads(line)
        seen = record.pop("fingerprint")
        entry = Entry(**record, fingerprint=None if seen is None else Fingerprint(**seen))
        return entry if _is_sound(record) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Whether all that a line names are files of its own, in the folder."""
    name, files = record["name"], record["files"]
    is_own = name != Path(JOURNAL).stem and all(file.startswith(f"{name}.") for file in files)
    return isinstance(record["source"], str) and isinstance(files, dict) and is_own and all(map(_is_plain, (name, *files)))


def _is_plain(name: str) -> bool:
    return bool(name) and "\0" not in name and Path(name).name == name
