"""The table of schedules: pure functions from what is known of a frame to how much work it gets."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.errors import UsageError
from edgeseg.schedule.adaptive import adaptive
from edgeseg.schedule.base import Policy
from edgeseg.schedule.deadline import deadline
from edgeseg.schedule.every import every
from edgeseg.schedule.fixed import fixed

__all__ = ["SCHEDULES", "Policy", "schedule"]

SCHEDULES: dict[str, Callable[[str], Policy]] = {"every": every, "fixed": fixed, "adaptive": adaptive, "deadline": deadline}
"""Name -> maker; the maker gets what follows the colon in ``name:argument``."""


def schedule(text: str) -> Policy:
    """The policy that ``--schedule`` names.

    Raises:
        UsageError: there is no such schedule, or its argument is wrong.
    """
    name, _, argument = text.partition(":")
    if name not in SCHEDULES:
        raise UsageError(f"there is no schedule {text!r}; choose one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](argument)
