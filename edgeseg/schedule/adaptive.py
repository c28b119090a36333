"""``adaptive`` and ``adaptive:DRIFT``: a key frame when the picture says that the last one no longer holds.

What is measured comes from the optical flow at reduced size, and from the scores of the last result:

- *unexplained*: the part of the picture that nothing in the key frame explains. New and uncovered content, and where the
  flow fails; at a scene cut it is most of the picture.
- *shift*: how far the picture has moved, over its shorter side. Errors of flow and of warping grow with it.
- *lost confidence*: the part of the key frame's mean score that is gone.

Their weighted sum is the drift. A key frame comes when it reaches DRIFT, at the latest after `INTERVAL_MAX` frames, and never
directly after another unless most of the picture is unexplained.
"""

from __future__ import annotations

from edgeseg.schedule.base import Policy, number
from edgeseg.types import Step, Tick

DRIFT = 0.15
INTERVAL_MIN, INTERVAL_MAX = 2, 30
CUT = 0.6
"""Unexplained part of the picture from which on a frame is taken for another scene."""
SHIFT_WEIGHT, CONFIDENCE_WEIGHT = 1.0, 0.5


def adaptive(argument: str) -> Policy:
    """The policy that tolerates a drift of ``argument``, 0.15 if empty: smaller means more key frames."""
    limit = number("adaptive", argument, 0.001, 10, "adaptive:0.15") if argument else DRIFT
    return Policy(lambda tick: adaptive_step(tick, limit), watches=True)


def drift(tick: Tick) -> float:
    """How little the last key frame still says of this frame; 0 = all of it."""
    return tick.unexplained + SHIFT_WEIGHT * tick.shift + CONFIDENCE_WEIGHT * max(0.0, 1 - tick.confidence)


def adaptive_step(tick: Tick, limit: float) -> Step:
    """KEY when the drift reaches ``limit``, within the bounds on the interval."""
    if tick.since_key is None or tick.since_key >= INTERVAL_MAX or tick.unexplained >= CUT:
        return Step.KEY
    return Step.KEY if tick.since_key >= INTERVAL_MIN and drift(tick) >= limit else tick.between
