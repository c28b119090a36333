"""A list in a JSON file that grows entry by entry and can be put right after an interruption at any place."""

from __future__ import annotations

from typing import BinaryIO

from edgeseg.sinks.target import encoded, write_all


class ListPart:
    """The beginning of a list in a file; whatever lies behind ``size`` does not count.

    Args:
        stream: unbuffered, writable, and holding nothing yet.
        head: what stands before the entries, the opening bracket included.
    """

    def __init__(self, stream: BinaryIO, head: str) -> None:
        self._stream = stream
        self.size = self._head = len(encoded(head))
        write_all(stream, encoded(head))

    def put(self, *entries: str) -> int:
        """Write further entries; returns the ``size`` that takes them in."""
        if not entries:
            return self.size
        data = encoded(("\n" if self.size == self._head else ",\n") + ",\n".join(entries))
        write_all(self.ended(), data)
        return self.size + len(data)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be put."""
        return self._stream.closed

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def ended(self) -> BinaryIO:
        """The stream, at its end."""
        self._stream.truncate(self.size)
        self._stream.seek(self.size)
        return self._stream
