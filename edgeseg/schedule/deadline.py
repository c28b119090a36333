"""``deadline:MS``: results stay younger than a budget; the best step that is quick enough, by what steps took lately."""

from __future__ import annotations

from edgeseg.schedule.base import Policy, number
from edgeseg.types import Step, Tick

INTERVAL_MAX = 30
CUT = 0.6
"""Unexplained part of the picture from which on what was found before is worth nothing."""


def deadline(argument: str) -> Policy:
    """The policy for a budget of ``argument`` milliseconds, with or without the unit: ``deadline:33`` or ``deadline:33ms``."""
    budget_s = number("deadline", argument.removesuffix("ms"), 0.1, 1e6, "deadline:33ms") / 1e3
    return Policy(lambda tick: deadline_step(tick, budget_s), watches=True)


def deadline_step(tick: Tick, budget_s: float) -> Step:
    """The first of KEY, WARP and PROPAGATE that ends within the budget of the frame's age.

    A key frame that is overdue is run although it will be late: without it all later results are wrong, and the frames that
    grew too old meanwhile are dropped. A frame is dropped when it cannot be in time but a fresh one could.
    """
    if tick.since_key is None or _in_time(tick, Step.KEY, budget_s):
        return Step.KEY
    if tick.age_s > budget_s and _cost_s(tick, Step.PROPAGATE) <= budget_s:
        return Step.DROP
    if tick.since_key >= INTERVAL_MAX or tick.unexplained >= CUT:
        return Step.KEY
    if tick.between is Step.WARP and _in_time(tick, Step.WARP, budget_s):
        return Step.WARP
    helps = _cost_s(tick, Step.PROPAGATE) <= budget_s and not _in_time(tick, Step.PROPAGATE, budget_s)
    return Step.DROP if helps else Step.PROPAGATE


def _cost_s(tick: Tick, step: Step) -> float:
    """What a step takes; one that was never taken is tried."""
    return tick.costs_s.get(step, 0.0)


def _in_time(tick: Tick, step: Step, budget_s: float) -> bool:
    return tick.age_s + _cost_s(tick, step) <= budget_s
