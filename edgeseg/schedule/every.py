"""``every``: each frame is a key frame."""

from __future__ import annotations

from edgeseg.errors import UsageError
from edgeseg.schedule.base import Policy
from edgeseg.types import Step


def every(argument: str) -> Policy:
    """The policy that runs the full graph on every frame; it takes no argument."""
    if argument:
        raise UsageError(f"schedule 'every' takes no argument, got {argument!r}")
    return Policy(lambda _: Step.KEY, skips=False)
