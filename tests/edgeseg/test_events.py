"""Lines that programs can read as well."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest

from edgeseg.events import Event, to_log


def test_an_event_is_its_line_with_a_name_and_figures() -> None:
    """Whoever takes plain lines can take it."""
    event = Event("stream.back", "camera 0 is back", logging.WARNING, after_s=1.5)

    assert event == "camera 0 is back"
    assert f"{event}!" == "camera 0 is back!"
    assert (event.name, event.level, event.fields) == ("stream.back", logging.WARNING, {"after_s": 1.5})


def test_an_event_survives_copying_and_pickling() -> None:
    """A program may send it to another process."""
    event = Event("stream.back", "camera 0 is back", logging.WARNING, after_s=1.5)

    for again in (copy.copy(event), pickle.loads(pickle.dumps(event))):  # noqa: S301
        assert (type(again), again, again.name, again.level, again.fields) == (Event, event, event.name, event.level, event.fields)


def test_the_log_gets_events_at_their_level(caplog: pytest.LogCaptureFixture) -> None:
    """Lines that are no events are warnings; per cent signs are left alone."""
    caplog.set_level(logging.DEBUG)
    tell = to_log("edgeseg.made_up")
    for line in (Event("a.b", "50 % built"), Event("a.c", "lost", logging.ERROR), "plain"):
        tell(line)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "50 % built"),
        ("ERROR", "lost"),
        ("WARNING", "plain"),
    ]


def test_nothing_is_printed_where_nobody_asked_for_it() -> None:
    """The library has a handler that does nothing, so that Python's last resort does not print its warnings."""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("edgeseg").handlers)
