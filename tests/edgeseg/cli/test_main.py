"""The command itself: help, verbs from plugins, and how errors end."""

from __future__ import annotations

import importlib.metadata
import warnings
from types import SimpleNamespace

import pytest

import edgeseg
from edgeseg import cli
from edgeseg.cli import main
from edgeseg.errors import BackendError, UsageError
from edgeseg.ledger import PrecisionWarning


def plug_in(monkeypatch, verb):
    """Make the command find ``verb`` as an installed plugin named ``extra``."""

    def add_parser(subparsers):
        subparsers.add_parser("extra").set_defaults(main=verb)

    entry = SimpleNamespace(load=lambda: add_parser)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == cli.PLUGINS else [])


@pytest.mark.parametrize("verb", ["demo", "run", "eval", "inspect", "build", "doctor"])
def test_help_of_every_verb_has_examples(verb, capsys):
    """Each verb explains itself with commands to copy."""
    assert main([verb, "--help"]) == 0

    assert f"examples:\n  edgeseg {verb}" in capsys.readouterr().out


def test_version_is_printed(capsys):
    """--version prints the version of the package."""
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"edgeseg {edgeseg.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["paint"], ["run"], ["doctor", "--loud"]])
def test_wrong_usage_is_code_2(arguments, capsys):
    """No verb, an unknown verb, missing arguments and unknown options all print the usage."""
    assert main(arguments) == 2

    assert "usage: edgeseg" in capsys.readouterr().err


def test_plugin_adds_its_verb(monkeypatch):
    """A verb from the entry-point group runs like a built-in one, and its result is the exit code."""
    plug_in(monkeypatch, lambda _args: 7)

    assert main(["extra"]) == 7


@pytest.mark.parametrize(("error", "code"), [(UsageError("wrong use"), 2), (BackendError("went wrong"), 1)])
def test_known_errors_are_messages(monkeypatch, capsys, error, code):
    """Errors made for users are printed without a traceback and give their exit code."""

    def fail(_args):
        raise error

    plug_in(monkeypatch, fail)

    assert main(["extra"]) == code
    assert capsys.readouterr().err == f"edgeseg: error: {error}\n"


def test_mistakes_of_ours_are_not_hidden(monkeypatch):
    """An error that nobody foresaw keeps its traceback."""
    plug_in(monkeypatch, lambda _args: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        main(["extra"])


def test_what_the_ledger_warns_of_is_one_plain_line(monkeypatch, capsys):
    """Without the place in the code; other warnings are left to Python."""

    def verb(_args):
        warnings.warn("r50 in int8: nobody measured it", PrecisionWarning, stacklevel=1)
        return 0

    plug_in(monkeypatch, verb)

    assert main(["extra"]) == 0
    assert capsys.readouterr().err == "edgeseg: warning: r50 in int8: nobody measured it\n"
    plug_in(monkeypatch, lambda _: warnings.warn("old", DeprecationWarning, stacklevel=1) or 0)
    with pytest.warns(DeprecationWarning, match="old"):
        main(["extra"])
