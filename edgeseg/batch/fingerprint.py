"""Whether a file is still the one that it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.bundle import sha256


@dataclass(frozen=True)
class Fingerprint:
    """What a file was when it was read."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Time of its last change, nanoseconds."""
    sha256: str
    """In hexadecimal."""

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """Read the file. Raises OSError where that cannot be done."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, sha256(path))

    def untouched(self, path: Path) -> bool:
        """Whether nobody wrote to the file since, by its size and time alone. Raises OSError."""
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)

    def fits(self, path: Path) -> bool:
        """Whether the file has the same bytes; it is read only where its size is the same and its time is not. Raises OSError."""
        return self.untouched(path) or (path.stat().st_size == self.size and sha256(path) == self.sha256)
