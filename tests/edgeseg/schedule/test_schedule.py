"""Schedules are pure functions of a tick: tables of what is known and what must be done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeseg.errors import UsageError
from edgeseg.schedule import SCHEDULES, schedule
from edgeseg.types import Step, Tick

KEY, WARP, PROPAGATE, DROP = Step.KEY, Step.WARP, Step.PROPAGATE, Step.DROP
CALM = Tick(10, 3, between=WARP)
LATE = replace(CALM, costs_s={KEY: 0.3, WARP: 0.2, PROPAGATE: 0.01})


@pytest.mark.parametrize("text", ["every", "fixed:5", "adaptive", "adaptive:0.3", "deadline:33", "deadline:33ms"])
@pytest.mark.parametrize("between", [WARP, PROPAGATE])
def test_there_is_a_key_frame_before_anything_else(text: str, between: Step) -> None:
    """Nothing can be warped or propagated yet."""
    assert schedule(text)(Tick(0, None, age_s=9.0, between=between, costs_s={KEY: 9.0})) is KEY


@pytest.mark.parametrize("tick", [CALM, replace(CALM, age_s=3.0), replace(CALM, since_key=900, between=PROPAGATE)])
def test_every_frame_is_a_key_frame(tick: Tick) -> None:
    """Whatever else is known."""
    assert schedule("every")(tick) is KEY


@pytest.mark.parametrize(
    ("text", "since_key", "step"),
    [
        ("fixed:5", 1, WARP),
        ("fixed:5", 4, WARP),
        ("fixed:5", 5, KEY),
        ("fixed:5", 9, KEY),
        ("fixed:1", 1, KEY),
        ("fixed:2", 1, WARP),
        ("fixed:2", 2, KEY),
    ],
)
def test_fixed_counts_frames(text: str, since_key: int, step: Step) -> None:
    """The N-th frame after a key frame is the next one, and so is every frame when that one was missed."""
    assert schedule(text)(replace(CALM, since_key=since_key)) is step


@pytest.mark.parametrize(
    ("tick", "step"),
    [
        (CALM, WARP),
        (replace(CALM, between=PROPAGATE), PROPAGATE),
        (replace(CALM, unexplained=0.2), KEY),
        (replace(CALM, shift=0.2), KEY),
        (replace(CALM, confidence=0.5), KEY),
        (replace(CALM, confidence=1.4), WARP),
        (replace(CALM, unexplained=0.04, shift=0.04, confidence=0.95), WARP),
        (replace(CALM, unexplained=0.08, shift=0.05, confidence=0.9), KEY),
        (replace(CALM, since_key=1, unexplained=0.3), WARP),
        (replace(CALM, since_key=2, unexplained=0.3), KEY),
        (replace(CALM, since_key=1, unexplained=0.9), KEY),
        (replace(CALM, since_key=29), WARP),
        (replace(CALM, since_key=30), KEY),
    ],
    ids=[
        "calm", "calm_propagate", "new_content", "moved", "unsure", "surer", "a_bit_of_each", "too_much_together", "just_had_one",
        "two_ago", "scene_cut", "almost_overdue", "overdue",
    ],
)  # fmt: skip
def test_adaptive_asks_for_a_key_frame_when_the_last_one_no_longer_holds(tick: Tick, step: Step) -> None:
    """New content, motion, lost confidence and their sum, a scene cut at once, and bounds on the interval."""
    assert schedule("adaptive")(tick) is step


def test_adaptive_tolerates_as_much_as_it_is_told() -> None:
    """A smaller argument means more key frames."""
    tick = replace(CALM, unexplained=0.1)

    assert [schedule(f"adaptive:{limit}")(tick) for limit in (0.05, 0.1, 0.11, 1)] == [KEY, KEY, WARP, WARP]


@pytest.mark.parametrize(
    ("budget", "tick", "step"),
    [
        ("400", LATE, KEY),
        ("300", LATE, KEY),
        ("299", LATE, WARP),
        ("299", replace(LATE, between=PROPAGATE), PROPAGATE),
        ("400", replace(LATE, age_s=0.15), WARP),
        ("100ms", LATE, PROPAGATE),
        ("100ms", replace(LATE, age_s=0.095), DROP),
        ("100ms", replace(LATE, age_s=0.3), DROP),
        ("5", replace(LATE, age_s=0.3), PROPAGATE),
        ("100", replace(LATE, since_key=30), KEY),
        ("100", replace(LATE, since_key=30, age_s=0.2), DROP),
        ("100", replace(LATE, unexplained=0.7), KEY),
        ("100", replace(LATE, costs_s={}), KEY),
        ("100", replace(LATE, costs_s={KEY: 0.3}), WARP),
    ],
    ids=[
        "all_fit", "key_just_fits", "warp_fits", "no_light_graph", "age_counts", "only_propagation_fits", "too_late_but_a_fresh_one_is_not",
        "far_too_late", "nothing_ever_fits", "overdue", "overdue_but_old", "scene_cut", "costs_unknown", "an_untried_step_is_tried",
    ],
)  # fmt: skip
def test_deadline_takes_the_best_step_that_is_in_time(budget: str, tick: Tick, step: Step) -> None:
    """By age and measured costs; an overdue key frame comes late rather than never, and on a fresh frame."""
    assert schedule(f"deadline:{budget}")(tick) is step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sometimes", f"there is no schedule 'sometimes'; choose one of {', '.join(SCHEDULES)}"),
        ("every:2", "schedule 'every' takes no argument, got '2'"),
        ("fixed", "schedule 'fixed:' needs a whole number from 1 to 10000 after the colon, for example fixed:5"),
        ("fixed:0", "needs a whole number"),
        ("fixed:2.5", "needs a whole number"),
        ("fixed:99999", "needs a whole number"),
        ("adaptive:much", "schedule 'adaptive:much' needs a number from 0.001 to 10 after the colon, for example adaptive:0.15"),
        ("adaptive:nan", "needs a number"),
        ("adaptive:-1", "needs a number"),
        ("deadline", "schedule 'deadline:' needs a number from 0.1 to 1e\\+06 after the colon, for example deadline:33ms"),
        ("deadline:soon", "needs a number"),
        ("deadline:0", "needs a number"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, message: str) -> None:
    """The message says what a schedule may look like."""
    with pytest.raises(UsageError, match=message):
        schedule(text)


@pytest.mark.parametrize(
    ("text", "skips", "watches"),
    [("every", False, False), ("fixed:1", False, False), ("fixed:5", True, False), ("adaptive", True, True), ("deadline:9", True, True)],
)
def test_a_schedule_says_what_it_needs(text: str, skips: bool, watches: bool) -> None:
    """Without need for it, no optical flow is computed."""
    policy = schedule(text)

    assert (policy.skips, policy.watches) == (skips, watches)
