"""Options of cameras and streams."""

from __future__ import annotations

import argparse

import pytest

from edgeseg.cli.live import add_live_options, live_settings
from edgeseg.sources.settings import FOREVER, LiveSettings


def settings(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_live_options(parser)
    return live_settings(parser.parse_args(arguments))


def test_defaults_are_those_of_the_library():
    """Nothing given is what `open_source` does by itself."""
    assert settings() == LiveSettings()


@pytest.mark.parametrize(("text", "attempts"), [("never", 0), ("forever", FOREVER), ("0", 0), ("12", 12)])
def test_reconnect_is_a_word_or_a_number(text, attempts):
    """never, forever, or attempts in a row."""
    assert settings("--reconnect", text).reconnect == attempts


def test_the_other_options_arrive():
    """What is given is used."""
    given = settings("--when-late", "wait", "--stall-timeout", "2.5", "--frozen-after", "60")

    assert (given.when_late, given.stall_s, given.frozen_s) == ("wait", 2.5, 60.0)


@pytest.mark.parametrize(
    "arguments", [("--reconnect", "often"), ("--reconnect", "-1"), ("--stall-timeout", "0"), ("--frozen-after", "nan")]
)
def test_other_values_are_refused(arguments):
    """argparse says what is wrong with them."""
    with pytest.raises(argparse.ArgumentError, match=r"is not|expected one argument"):
        settings(*arguments)
