"""What a panoptic net's description makes of its labels."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from edgeseg.types import Label
from tests.export.nets.panoptic.facts import SMALL_UPS


def test_own_labels_say_which_are_stuff() -> None:
    """Names of stuff are marked; the mark is not part of the name, and category ids count from 1."""
    config = SMALL_UPS.with_labels(["stuff: water", "stuff:land", "boat"])

    assert config.labels == (Label("water", 1, is_thing=False), Label("land", 2, is_thing=False), Label("boat", 3))
    assert (config.stuff_count, config.num_classes) == (2, 2)


def test_a_net_may_know_no_stuff() -> None:
    """All channels are things then."""
    assert (SMALL_UPS.with_labels(["a", "b"]).stuff_count, SMALL_UPS.with_labels(["a", "b"]).num_classes) == (0, 3)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "has no thing"),
        (["stuff: a"], "has no thing"),
        (["a", "stuff: b"], "must come before those of things"),
        (["stuff: a", "a"], "must differ"),
        (["stuff:", "a"], "has no name"),
    ],
)
def test_impossible_labels_are_refused(names: list[str], reason: str) -> None:
    """A net has a thing, stuff comes first, every class has a name of its own."""
    with pytest.raises(UsageError, match=reason):
        SMALL_UPS.with_labels(names)
