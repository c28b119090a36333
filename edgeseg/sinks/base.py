"""What a sink is: it takes every frame with its result, and is closed when done."""

from __future__ import annotations

import abc
from types import TracebackType

from edgeseg.types import Frame, Result


class Sink(abc.ABC):
    """A place for results. A context manager; leaving it with an error still closes what was written so far."""

    wants_stop: bool = False
    """Set by a sink when the person watching wants the run to end."""

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except KeyboardInterrupt:
            # Stopped while the output was being finished: finish it all the same.
            self.close()
            raise

    @abc.abstractmethod
    def write(self, frame: Frame, result: Result) -> None:
        """Take one frame and what was found in it.

        Raises:
            SinkError: it cannot be written; what was written before stays readable.
        """

    def close(self) -> None:
        """Finish the output. Calling it twice is fine, also when the first call was interrupted."""
