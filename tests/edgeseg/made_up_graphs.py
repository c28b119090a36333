"""Graphs that are a few lines of Python, for the tests of streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgeseg.families.base import FUSE, IMAGE, KEY, WARP
from edgeseg.types import AnyArray
from tests.bundles import FOUND, KEY_STATE, OUTPUTS, REFERENCE, STATE, Found


class Graphs:
    """Stands in for the graphs: answers with what the tiny bundle finds, counts runs, and can wait or fail."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.now_s = 100.0
        self.run_s = {KEY: 10.0, FUSE: 11.0, WARP: 2.0}
        self.runs: list[str] = []
        self.states: list[float] = []
        """What the light graph was fed: the number of the key frame."""
        self.references: list[float] = []
        """What the graph that fuses key frames was fed: the number of the key frame before."""
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.found: Callable[[int], Sequence[Found]] = lambda _: FOUND
        """Frame's number -> what there is in it."""
        self.threads: set[str] = set()

    def clock(self) -> float:
        return self.now_s

    def answer(self, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        name = WARP if KEY_STATE in feeds else FUSE if REFERENCE in feeds else KEY
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.now_s += self.run_s[name]
        self.runs.append(name)
        outputs = OUTPUTS[self.family](self.found(int(feeds[IMAGE][0, 0, 0, 0])), 64)
        if name == WARP:
            self.states.append(float(feeds[KEY_STATE][0]))
            return outputs
        if name == FUSE:
            self.references.append(float(feeds[REFERENCE][0]))
        return outputs | {STATE: np.full(1, float(feeds[IMAGE][0, 0, 0, 0]), np.float32)}
