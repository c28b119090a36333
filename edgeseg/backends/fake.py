"""A backend without any library: a Python function answers in place of the graph. For tests, ours and users'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.backends.base import Probe, Session
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray

Answer = Callable[[Mapping[str, AnyArray]], Mapping[str, AnyArray]]


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


class FakeSession(Session):
    """A session that calls a function."""

    def __init__(self, graph: Graph, answer: Answer) -> None:
        super().__init__(graph, "nothing: answers are made up")
        self._answer = answer

    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        found = {name: np.array(array) for name, array in self._answer({**feeds, **handles}).items()}
        return {name: array for name, array in found.items() if name not in keep}, {name: found[name] for name in keep}

    def _release(self) -> None:
        """There is nothing to free."""


def _zeros(graph: Graph) -> dict[str, AnyArray]:
    return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in graph.outputs}
