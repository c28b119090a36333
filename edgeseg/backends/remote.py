"""A graph that runs elsewhere, on a server: a function of yours takes its inputs there and brings its outputs back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from edgeseg.backends.base import Session
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray

Answer: TypeAlias = Callable[[Mapping[str, AnyArray]], Mapping[str, AnyArray]]
"""Inputs by name -> outputs by name, of the dtypes and shapes that the manifest declares."""


class RemoteSession(Session):
    """A session that asks a function. Carried tensors are arrays here, between two questions."""

    def __init__(self, graph: Graph, runs_on: str, answer: Answer) -> None:
        super().__init__(graph, runs_on)
        self._answer = answer

    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        answer = self._answer({**feeds, **handles})
        # Copies: the answer may be a view of a message that goes away.
        found = {spec.name: np.array(answer[spec.name]) for spec in self.graph.outputs if spec.name in answer}
        for spec in self.graph.outputs:
            got = found.get(spec.name)
            if got is None or (got.dtype, got.shape) != (np.dtype(spec.dtype), spec.shape):
                told = "nothing" if got is None else f"{got.dtype} {list(got.shape)}"
                raise BackendError(f"{spec} was expected and {told} came. Does {self.runs_on} serve this bundle?")
        return {name: array for name, array in found.items() if name not in keep}, {name: found[name] for name in keep}

    def _release(self) -> None:
        """What the function needs belongs to whoever wrote it."""
