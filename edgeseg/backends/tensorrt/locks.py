"""A lock between processes that a dead process cannot keep."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


class FileLock:
    """Holds a file while it lives. The operating system frees it with the process."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream

    @classmethod
    def attempt(cls, path: Path) -> FileLock | None:
        """The lock, or None while another holds it."""
        return cls._take(path, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @classmethod
    def wait(cls, path: Path, waiting: Callable[[], None]) -> FileLock:
        """The lock; ``waiting`` is called once if another holds it."""
        lock = cls.attempt(path)
        if lock is None:
            waiting()
        while lock is None:
            lock = cls._take(path, fcntl.LOCK_EX)
        return lock

    @classmethod
    def _take(cls, path: Path, how: int) -> FileLock | None:
        stream = path.open("ab")
        try:
            fcntl.flock(stream, how)
            # Its last holder may have removed the file while we waited for it: then we hold nothing that others see.
            if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                return cls(path, stream)
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            stream.close()
            raise
        stream.close()
        return None

    def release(self) -> None:
        """Let others in, and leave no file."""
        self._path.unlink(missing_ok=True)
        self._stream.close()
