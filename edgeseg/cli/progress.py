"""Progress of long work: a bar on a terminal where rich is installed, else a plain line now and then."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PLAIN_INTERVAL_S = 10.0


class Progress(Protocol):
    """Something that shows how far work has come."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Count finished steps; ``detail`` replaces the text behind the bar."""
        ...


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Progress]:
    """Show progress on standard error while the block runs; ``total`` of None means unknown."""
    rich = _rich() if sys.stderr.isatty() else None
    if rich is None:
        yield _PlainProgress(label, total)
        return
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[detail]}"),
    )
    with rich.Progress(*columns, console=importlib.import_module("rich.console").Console(stderr=True)) as bar:
        yield _RichProgress(bar, bar.add_task(label, total=total, detail=""))


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
        print(f"{self._label}: {self._done}{of} after {now_s - self._begin_s:.0f} s  {detail}".rstrip(), file=sys.stderr, flush=True)
