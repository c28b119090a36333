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
    pictures: tuple[str, ...] = ()
    """File names of the pictures in their order; empty for streams, whose frames have no names."""

    @property
    def holds_pictures(self) -> bool:
        """Whether it is pictures, which have names, and no stream."""
        return bool(self.pictures)


@dataclass(frozen=True)
class SourceCounts:
    """What happened to a live stream so far; nothing ever happens to files."""

    dropped: int = 0
    """Frames that came and were left out, because newer ones came before they were taken."""
    reconnects: int = 0
    """How often the connection was lost and made anew."""
    freezes: int = 0
    """How often the picture stood still for so long that the camera may hang."""


class Source(abc.ABC):
    """Frames in order. A context manager; iterate it once."""

    info: SourceInfo

    @property
    def counts(self) -> SourceCounts:
        """What happened so far."""
        return SourceCounts()

    @property
    def ready(self) -> bool:
        """Whether the next frame, or the end, is there to be taken. Only cameras and streams let their reader wait."""
        return True

    @property
    def is_lost(self) -> bool:
        """Whether a live stream is being connected anew right now. May be asked on any thread."""
        return False

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

    def interrupt(self) -> None:
        """Make the iteration end soon. May be called from any thread; a source that is never long without a frame ignores it."""

    def close(self) -> None:
        """Release files and devices. Calling it twice is fine."""
