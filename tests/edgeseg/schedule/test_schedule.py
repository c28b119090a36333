"""The names that ``--schedule`` takes."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from edgeseg.schedule import SCHEDULES, schedule
from edgeseg.types import Step, Tick


@pytest.mark.parametrize("tick", [Tick(0, None), Tick(1, 0), Tick(900, 12, age_s=3.0, last_infer_s=0.7)])
def test_every_makes_each_frame_a_key_frame(tick: Tick) -> None:
    """Neither the frame's place nor its age matters."""
    assert schedule("every")(tick) is Step.KEY


def test_every_is_a_policy_without_an_argument() -> None:
    """What follows a colon is refused, not ignored."""
    with pytest.raises(UsageError, match="schedule 'every' takes no argument, got '5'"):
        schedule("every:5")


@pytest.mark.parametrize("text", ["", "fixed", "EVERY", " every", "fixed:5"])
def test_an_unknown_schedule_is_wrong_usage(text: str) -> None:
    """The message repeats what was asked and lists what there is."""
    with pytest.raises(UsageError, match=rf"there is no schedule '{text}'; choose one of {', '.join(SCHEDULES)}"):
        schedule(text)
