"""How far a build has come: the library's nested phases as one fraction that never goes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.backends.tensorrt.api import IProgressMonitor
from edgeseg.backends.tensorrt.library import Module

Report = Callable[[str, float], None]
"""Takes what is being done, and the fraction of the whole that is done. What it raises cancels the build."""


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The phases that are open, and the fraction that they amount to. The library may call from any thread."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._open: dict[str, _Phase] = {}
        self._fraction = 0.0
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        """What ``report`` raised."""
        self.cancelled = False
        """Set it, and the build ends at its next step."""

    def begin(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of ``steps`` steps begins inside ``parent``."""
        with self._lock:
            self._open[name] = _Phase(parent, max(steps, 1))
        self._tell(name)

    def step(self, name: str, step: int) -> bool:
        """Step number ``step`` of a phase is done; False to cancel the build."""
        with self._lock:
            if name in self._open:
                self._open[name].done = step + 1
        self._tell(name)
        return not self.cancelled

    def end(self, name: str) -> None:
        """A phase has ended."""
        with self._lock:
            self._open.pop(name, None)

    def _tell(self, name: str) -> None:
        with self._lock:
            if self.cancelled:
                return
            # Phases that the library did not announce may follow, so the whole is done only when the builder returns.
            self._fraction = max(self._fraction, min(0.99, self._of(None)))
            try:
                self._report(name, self._fraction)
            except BaseException as error:  # noqa: BLE001  it must not pass through the library's C++; build_engine raises it
                self.failure, self.cancelled = error, True

    def _of(self, parent: str | None) -> float:
        """Fraction of a phase's step, or of the whole, that the open phases inside it have done."""
        return max(
            ((phase.done + self._of(name)) / phase.steps for name, phase in self._open.items() if phase.parent == parent),
            default=0.0,
        )


def monitor(module: Module, phases: Phases) -> IProgressMonitor:
    """The object that the builder calls."""

    class Monitor(module.IProgressMonitor):  # type: ignore[name-defined,misc]  # a class of the loaded module
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)  # its C++ half

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            phases.begin(name, parent, steps)

        def step_complete(self, name: str, step: int) -> bool:
            return phases.step(name, step)

        def phase_finish(self, name: str) -> None:
            phases.end(name)

    made: IProgressMonitor = Monitor()
    return made
