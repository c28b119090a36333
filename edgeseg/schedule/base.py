"""What a schedule is: a pure function from what is known of a frame to how much work it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.errors import UsageError
from edgeseg.types import Step, Tick


@dataclass(frozen=True)
class Policy:
    """A schedule, and what it needs to be told."""

    choose: Callable[[Tick], Step]
    skips: bool = True
    """Whether it ever leaves the full graph out."""
    watches: bool = False
    """Whether it looks at what moved: then the optical flow is computed for every frame."""

    def __call__(self, tick: Tick) -> Step:
        """The step of a frame."""
        return self.choose(tick)


def number(schedule: str, text: str, least: float, most: float, example: str) -> float:
    """The argument of a schedule as a number.

    Raises:
        UsageError: it is none, or not within ``least`` and ``most``.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UsageError(f"schedule '{schedule}:{text}' needs a number from {least:g} to {most:g} after the colon, for example {example}")
    return value
