"""What a source is: an iterable of frames that is closed when done."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from edgeseg.types import Frame, SizeHW


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a stream before it is read."""

    name: str
    fps: float | None = None
    """Frames a second; None for pictures."""
    frame_count: int | None = None
    """None when it is not known: cameras, and containers without a count."""
    image_hw: SizeHW | None = None
    """None when frames may differ in size."""


class Source(abc.ABC):
    """Frames in order. A context manager; iterate it once."""

    info: SourceInfo

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Frames in stream order.

        Raises:
            SourceError: the stream broke, or held no frame at all.
        """

    def close(self) -> None:
        """Release files and devices. Calling it twice is fine."""
