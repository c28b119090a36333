"""Key frames of several streams are spread over the turns."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import UsageError
from edgeseg.schedule import schedule
from edgeseg.schedule.staggered import staggered
from edgeseg.types import Step, Tick


def steps_of(text: str, share: float, turns: range) -> list[Step]:
    """What a stream gets that begins at the first of these turns."""
    now = {"turn": 0}
    policy = staggered(text, lambda: now["turn"], share)
    steps, since_key = [], None
    for now["turn"] in turns:
        steps.append(policy(Tick(7, since_key, between=Step.WARP)))
        since_key = 1 if steps[-1] is Step.KEY else since_key + 1
    return steps


def test_every_turn_has_about_as_many_key_frames():
    """1,000 random numbers of streams and intervals: after the first turn, whose frames must be key frames, no turn has more than one
    above or below the mean, and every stream has a key frame in every interval.
    """
    rng = np.random.default_rng(0)
    for _ in range(1000):
        streams, interval = int(rng.integers(1, 12)), int(rng.integers(1, 12))
        keys = np.array([[one is Step.KEY for one in steps_of(f"fixed:{interval}", k / streams, range(25))] for k in range(streams)])
        per_turn = keys[:, 1:].sum(axis=0)
        assert keys[:, 0].all()
        assert abs(per_turn - streams / interval).max() < 1 + 1e-9
        assert all(keys[:, 1 + first : 1 + first + interval].any(axis=1).all() for first in range(24 - interval + 1))


def test_a_stream_that_begins_late_joins_the_turns_of_the_others():
    """Its first frame is a key frame, then it takes its place."""
    late = [i for i, step in enumerate(steps_of("fixed:4", 0.5, range(7, 20)), 7) if step is Step.KEY]

    assert late == [7, 10, 14, 18]


@pytest.mark.parametrize("text", ["every", "fixed:1", "adaptive", "adaptive:0.3", "deadline:33ms"])
def test_other_schedules_stay_as_they_are(text):
    """They choose the same for a range of ticks, and need to be told the same."""
    one, other = staggered(text, lambda: 3, 0.5), schedule(text)
    ticks = [Tick(9, since, age_s=age, between=Step.WARP, costs_s={Step.KEY: 0.02}) for since in (None, 1, 4, 40) for age in (0.0, 0.05)]

    assert [one(tick) for tick in ticks] == [other(tick) for tick in ticks]
    assert (one.skips, one.watches) == (other.skips, other.watches)


def test_a_schedule_that_does_not_exist_is_refused():
    """As without other streams."""
    with pytest.raises(UsageError, match="there is no schedule 'never'"):
        staggered("never", lambda: 0, 0.0)
