"""The result folder of a batch: what is there, what is still to be made, and one batch in it at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from edgeseg.backends.tensorrt.locks import FileLock
from edgeseg.batch.clip import WORK, Job, Options, Outcome
from edgeseg.batch.journal import DONE, FAILED, JOURNAL, Entry, Journal
from edgeseg.errors import UsageError
from edgeseg.sinks.target import check_folder, make_folder, write_error

_LOCK = ".batch.lock"


class Results:
    """A result folder, which is made where its parent exists. A context manager: leaving it keeps all that is complete.

    Args:
        folder: where results go.
        options: how clips are processed; a folder holds results of one way alone.

    Raises:
        UsageError: it holds other things, results of other settings, or another batch is at work in it.
        SinkError: it cannot be written.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        folder = folder.resolve()
        check_folder(folder if folder.exists() else folder.parent)
        make_folder(folder)
        try:
            others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
            if others and JOURNAL not in others:
                raise UsageError(f"{folder} holds what 'edgeseg batch' did not write: {others[0]}. Give a new or empty folder.")
            lock = FileLock.attempt(folder / _LOCK)
        except OSError as error:
            raise write_error(folder, error) from error
        if lock is None:
            raise UsageError(f"another 'edgeseg batch' is at work in {folder}. Wait for it, or give another folder.")
        self._folder, self._options, self._lock = folder, options, lock
        try:
            self._sweep()
            self._journal = Journal.read(folder / JOURNAL, options.settings())
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def missing(self, sources: Sequence[str]) -> list[Job]:
        """A job for each of the clips (absolute paths) whose results are not there whole, or are of other bytes than the file has now.

        What there is of such results goes away. Raises SinkError where the folder cannot be written, UsageError for a clip that is in it.
        """
        for source in sources:
            # Its results could take its name.
            if Path(source).resolve().parent == self._folder:
                raise UsageError(f"{source} lies in the result folder. Give videos of other folders, or another --out.")
        self._journal.add(sources, (path.name for path in self._folder.iterdir()))
        missing = [entry for source in sources if not self._is_complete(entry := self._journal.entries[source])]
        for entry in missing:
            self._remove(entry)
            self._journal.entries[entry.source] = Entry(entry.source, entry.name)
        self._journal.write()
        return [Job(entry.source, os.fspath(self._folder), entry.name, self._options) for entry in missing]

    def record(self, job: Job, outcome: Outcome) -> None:
        """Note what became of a clip. Raises SinkError where that cannot be written."""
        error = outcome.error
        state = DONE if error is None else FAILED
        told = "" if error is None else str(error)
        entry = Entry(job.source, job.name, state, outcome.frames, outcome.instances, outcome.files, outcome.fingerprint, told)
        self._journal.record(entry)

    def close(self) -> None:
        """Remove what workers left half done, tidy the journal and let others in. The workers must have ended."""
        try:
            self._sweep()
            self._journal.write()
        finally:
            self._lock.release()

    def _is_complete(self, entry: Entry) -> bool:
        if entry.state != DONE or entry.fingerprint is None:
            return False
        try:
            whole = all((self._folder / name).stat().st_size == size for name, size in entry.files.items())
            return whole and entry.fingerprint.fits(Path(entry.source))
        except OSError:
            return False

    def _remove(self, entry: Entry) -> None:
        try:
            # What a worker made that was lost before it could say so is not noted.
            for name in {*entry.files, f"{entry.name}.jsonl", f"{entry.name}.mp4", f"{entry.name}.zip"}:
                (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise write_error(self._folder, error) from error

    def _sweep(self) -> None:
        for left in self._folder.glob(f"{WORK}*"):
            shutil.rmtree(left, ignore_errors=True)
