"""Key frames of several streams that share a model, one after the other instead of all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgeseg.schedule import Policy, schedule
from edgeseg.types import Step, Tick


def staggered(text: str, turn: Callable[[], int], share: float) -> Policy:
    """The policy of one of several streams.

    Of ``fixed:N`` the key frames are spread over N turns, so that each turn of all streams has about as many. Other schedules stay as
    they are: ``every`` has nothing to spread, and the others choose key frames by the picture or by the clock.

    Args:
        text: a name of `edgeseg.schedule.SCHEDULES` with its argument.
        turn: tells the turn that is under way; all streams get one frame in each.
        share: the stream's place, 0 <= share < 1: the k-th of n has k / n.

    Raises:
        UsageError: there is no such schedule, or its argument is wrong.
    """
    policy = schedule(text)
    name, _, argument = text.partition(":")
    if name != "fixed" or not policy.skips:
        return policy
    interval = int(argument)
    return replace(policy, choose=lambda tick: staggered_step(tick, interval, turn() + int(share * interval)))


def staggered_step(tick: Tick, interval: int, turn: int) -> Step:
    """KEY in every ``interval``-th turn, whenever the last key frame was."""
    return Step.KEY if tick.since_key is None or turn % interval == 0 else tick.between
