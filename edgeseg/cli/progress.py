"""Progress of long work: a bar on a terminal where rich is installed, else a plain line now and then."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from edgeseg.cli.logs import note, shows_bars
from edgeseg.events import Event

PLAIN_INTERVAL_S = 10.0
BAR_INTERVAL_S = 0.25
"""Drawing takes milliseconds."""
_BAR_WIDTH, _LABEL_WIDTH = 40, 24


class Progress(Protocol):
    """Something that shows how far work has come."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Count finished steps; ``detail`` replaces the text behind the bar."""
        ...


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Progress]:
    """Show progress on standard error while the block runs; ``total`` of None means unknown."""
    shown = bars(counted=True)
    if shown is None:
        yield _PlainProgress(label, total)
        return
    with shown:
        yield _RichProgress(shown, shown.add_task(label, total=total, detail=""))


def bars(*, counted: bool) -> Any | None:
    """rich's display on standard error, a context manager to add tasks to; None where there is no terminal, no rich, or no wish for it.

    Args:
        counted: show how far tasks have come. Their field ``detail`` stands behind that and is made text each time that it is drawn.
    """
    rich = _rich() if shows_bars() else None
    if rich is None:
        return None
    # Where there is little room, the bar gives way first.
    bar = rich.BarColumn(bar_width=None, table_column=rich.Column(max_width=_BAR_WIDTH))
    columns = [
        rich.TextColumn("{task.description}", markup=False, table_column=rich.Column(no_wrap=True, max_width=_LABEL_WIDTH)),
        *((bar, rich.MofNCompleteColumn(), rich.TimeRemainingColumn()) if counted else ()),
        rich.TextColumn("{task.fields[detail]}", markup=False),
    ]
    console = importlib.import_module("rich.console").Console(stderr=True)
    # Results may go to the standard output, so that is left alone.
    return rich.Progress(*columns, console=console, redirect_stdout=False, refresh_per_second=1 / BAR_INTERVAL_S)


def _rich() -> Any:
    try:
        return importlib.import_module("rich.progress")
    except ImportError:
        return None


class _RichProgress:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self._bar.update(self._task, advance=steps, detail=detail)


class _PlainProgress:
    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total = label, total
        self._done = 0
        self._begin_s = self._printed_s = time.monotonic()

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self._done += steps
        now_s = time.monotonic()
        if now_s - self._printed_s < PLAIN_INTERVAL_S:
            return
        self._printed_s = now_s
        of = f"/{self._total}" if self._total else ""
        lasted_s = now_s - self._begin_s
        line = f"{self._label}: {self._done}{of} after {lasted_s:.0f} s  {detail}".rstrip()
        note(Event("progress", line, work=self._label, done=self._done, total=self._total, lasted_s=round(lasted_s, 1)))
