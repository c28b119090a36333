"""Python's garbage in a run of hours."""

from __future__ import annotations

import gc
import weakref

import pytest

from edgeseg.cli import memory
from edgeseg.cli.memory import INTERVAL_S, Tidy
from edgeseg.sources.fake import FakeClock


class Knot:
    """Refers to itself, so that it is not freed with its last name."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def no_automatic_collection():
    """Python's own collections do not meddle."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_automatic_collection")
def test_garbage_of_the_run_is_gone_after_a_minute():
    """Not before; and what was there with the first frame is looked at again only in the end."""
    clock = FakeClock()
    with Tidy(clock) as tidy:
        tidy()
        assert gc.get_freeze_count() > 0
        garbage = weakref.ref(Knot())
        clock.wait(INTERVAL_S - 1)
        tidy()
        assert garbage() is not None
        clock.wait(1)
        tidy()
        assert garbage() is None
    assert gc.get_freeze_count() == 0


def test_collections_are_a_minute_apart(monkeypatch):
    """However many frames there are."""
    clock, times_s = FakeClock(), []
    monkeypatch.setattr(memory.gc, "collect", lambda: times_s.append(clock()))
    with Tidy(clock) as tidy:
        for _ in range(300):
            tidy()
            clock.wait(0.5)

    assert times_s == [0.0, INTERVAL_S, 2 * INTERVAL_S]
