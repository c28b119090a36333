"""Progress where there is no terminal, and on one."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from edgeseg.cli import progress as module
from edgeseg.cli.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    hands = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: hands.now_s))
    return hands


def test_plain_lines_come_now_and_then(clock, capsys):
    """Without a terminal there is a line every ten seconds, not one a step."""
    with progress("work", total=100) as bar:
        for _ in range(25):
            clock.now_s += 1.0
            bar.advance(2, detail="busy")

    assert capsys.readouterr().err.splitlines() == ["work: 20/100 after 10 s  busy", "work: 40/100 after 20 s  busy"]


def test_unknown_total_is_left_out(clock, capsys):
    """A camera has no end to count towards."""
    with progress("work", total=None) as bar:
        clock.now_s = 11.0
        bar.advance()

    assert capsys.readouterr().err == "work: 1 after 11 s\n"


@pytest.mark.parametrize("total", [2, None])
def test_terminal_gets_a_bar(capsys, monkeypatch, total):
    """On a terminal the bar shows label and count on the standard error only."""
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    with progress("work", total=total) as bar:
        bar.advance(detail="half")
        bar.advance()

    out, err = capsys.readouterr()
    assert out == ""
    assert "work" in err
