"""A backend that has something to build, for the tests of when that is done."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from edgeseg.backends import BACKENDS, Probe, Session
from edgeseg.bundle import Graph
from edgeseg.swap import Report


class Engines:
    """A backend that builds engines when it is told that it may."""

    name = "engines"
    own_precisions: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.built: set[Path] = set()
        self.gate = threading.Event()
        self.started = threading.Event()
        self.error: Exception | None = None
        self.opened: list[str] = []
        self.closed: list[str] = []

    def probe(self) -> Probe:
        return Probe(True, "1.0", "made up")

    def ready(self, file: Path, graph: Graph, precision: str) -> bool:  # noqa: ARG002  the protocol's arguments
        return file in self.built

    def prepare(self, file: Path, graph: Graph, precision: str, report: Report) -> None:  # noqa: ARG002
        self.started.set()
        while not self.gate.wait(0.001):
            report("building", 0.5)
        if self.error is not None:
            raise self.error
        self.built.add(file)

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:  # noqa: ARG002
        self.built.add(file)
        self.opened.append(file.stem)
        session = BACKENDS["onnxruntime"].open(file, graph, precision, 1)
        session.runs_on = f"engine of {file.stem}"
        release = session._release

        def noted() -> None:
            self.closed.append(file.stem)
            release()

        session._release = noted
        return session
