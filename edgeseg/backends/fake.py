"""A backend without any library: a Python function answers in place of the graph. For tests, ours and users'."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgeseg.backends.base import Probe, Session
from edgeseg.backends.remote import Answer, RemoteSession
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray


class Fake:
    """Opens any existing file and answers with ``answer(feeds)``, or with zeros of the declared shapes."""

    name = "fake"
    own_precisions: Mapping[str, str] = {}

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer

    def probe(self) -> Probe:
        """See `edgeseg.backends.base.Backend`."""
        return Probe(True, detail="answers in place of a graph; for tests")

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:  # noqa: ARG002  the protocol's arguments
        """See `edgeseg.backends.base.Backend`."""
        if not file.is_file():
            raise BackendError(f"there is no file {file}")
        return FakeSession(graph, self._answer or (lambda _: _zeros(graph)))


class FakeSession(RemoteSession):
    """A session that calls a function."""

    def __init__(self, graph: Graph, answer: Answer) -> None:
        super().__init__(graph, "nothing: answers are made up", answer)


def _zeros(graph: Graph) -> dict[str, AnyArray]:
    return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in graph.outputs}
