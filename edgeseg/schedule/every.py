"""``every``: each frame is a key frame."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.errors import UsageError
from edgeseg.types import Step, Tick


def every(argument: str) -> Callable[[Tick], Step]:
    """The policy that runs the full graph on every frame; it takes no argument."""
    if argument:
        raise UsageError(f"schedule 'every' takes no argument, got {argument!r}")
    return lambda _: Step.KEY
