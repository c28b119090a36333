"""Every error a user of edgeseg can meet.

EdgesegError                 exit code 1; the message says what was wrong and what to do
|-- UsageError               exit code 2; an option, argument or combination that cannot work
|-- MissingDependencyError   an optional package is absent or broken; names the extra to install
|-- BundleError              a bundle that is damaged, foreign, too new or incomplete
|-- CheckpointError          a weights file that is unreadable, unsafe or does not fit its recipe
|-- ExportError              an export that failed or whose graph did not match the original
|-- BackendError             a backend that cannot load or run a graph
|-- SourceError              a picture, video or camera that cannot be opened or read
|-- HangError                a camera whose driver answers no more, so that only starting anew helps
|-- SinkError                an output that cannot be written
`-- EvaluationError          ground truth and results that do not belong together
"""

from __future__ import annotations


class EdgesegError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""

    exit_code = 1


class UsageError(EdgesegError):
    """What was asked for cannot work as asked."""

    exit_code = 2


class MissingDependencyError(EdgesegError):
    """An optional package is not installed or does not load."""

    @classmethod
    def for_extra(cls, package: str, extra: str, cause: object = None) -> MissingDependencyError:
        """The usual wording: what is missing and the exact command that brings it."""
        detail = f" ({cause})" if cause else ""
        return cls(f"{package} is needed for this but cannot be imported{detail}. Install it with: pip install 'edgeseg[{extra}]'")


class BundleError(EdgesegError):
    """A model bundle cannot be used."""


class CheckpointError(EdgesegError):
    """A weights file cannot be used."""


class ExportError(EdgesegError):
    """A checkpoint could not be turned into a bundle."""


class BackendError(EdgesegError):
    """A backend cannot load or run a graph."""


class SourceError(EdgesegError):
    """Frames cannot be read."""


class HangError(EdgesegError):
    """A device does not answer, again and again."""


class SinkError(EdgesegError):
    """Results cannot be written."""


class EvaluationError(EdgesegError):
    """Results cannot be scored."""
