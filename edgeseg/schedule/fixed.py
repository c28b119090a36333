"""``fixed:N``: every N-th frame is a key frame, as in YolactEdge (eval.py: every 5th)."""

from __future__ import annotations

from edgeseg.errors import UsageError
from edgeseg.schedule.base import Policy
from edgeseg.types import Step, Tick

INTERVAL_MAX = 10_000


def fixed(argument: str) -> Policy:
    """The policy with a key frame every ``argument`` frames."""
    if not argument.isdecimal() or not 1 <= int(argument) <= INTERVAL_MAX:
        raise UsageError(f"schedule 'fixed:{argument}' needs a whole number from 1 to {INTERVAL_MAX} after the colon, for example fixed:5")
    interval = int(argument)
    return Policy(lambda tick: fixed_step(tick, interval), skips=interval > 1)


def fixed_step(tick: Tick, interval: int) -> Step:
    """KEY when ``interval`` frames have passed since the last key frame."""
    return Step.KEY if tick.since_key is None or tick.since_key >= interval else tick.between
