"""An open graph in ONNX Runtime, on whatever provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.backends.base import Session, Tensor
from edgeseg.backends.onnxruntime.library import errors, library
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray

_DTYPES = {"float": "float32", "double": "float64"}
"""ONNX Runtime's words for what numpy calls otherwise."""


@dataclass(frozen=True)
class Kept:
    """A tensor that stayed where a session computed it."""

    value: Any
    device: str


class OnnxRuntimeSession(Session):
    """Feeds come from the host and outputs go there; carried tensors stay on ``device``."""

    def __init__(self, graph: Graph, runs_on: str, handle: Any, device: str) -> None:
        super().__init__(graph, runs_on)
        self._handle = handle
        self._device = device
        self._value = library().OrtValue.ortvalue_from_numpy
        self._fetch = [spec.name for spec in graph.outputs]

    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        values = {name: self._own(name, handle) for name, handle in handles.items()}
        try:
            # A binding of its own for each run: one that is used again would write over the outputs of the run before.
            binding = self._handle.io_binding()
            for name, value in {**{name: self._value(array) for name, array in feeds.items()}, **values}.items():
                binding.bind_ortvalue_input(name, value)
            for name in self._fetch:
                binding.bind_output(name, self._device if name in keep else "cpu")
            self._handle.run_with_iobinding(binding)
            found = dict(zip(self._fetch, binding.get_outputs(), strict=True))
            outputs = {name: value.numpy() for name, value in found.items() if name not in keep}
            return outputs, {name: Kept(found[name], self._device) for name in keep}
        except errors() as error:
            raise BackendError(f"ONNX Runtime failed while running the graph: {error}") from error

    def _own(self, name: str, handle: Any) -> Any:
        """The tensor behind a handle, if a session of this backend gave it."""
        if not isinstance(handle, Kept) or handle.device != self._device:
            raise BackendError(f"{name}: the carried tensor is one of another backend; run the key frame on this one ({self.runs_on})")
        return handle.value

    def _release(self) -> None:
        self._handle = None


def tensors(ports: list[Any]) -> list[Tensor]:
    """Inputs or outputs as ONNX Runtime reports them, in numpy's words."""
    words = [port.type.removeprefix("tensor(").removesuffix(")") for port in ports]
    shapes = [[side if isinstance(side, int) else None for side in port.shape] for port in ports]
    return [(port.name, _DTYPES.get(word, word), shape) for port, word, shape in zip(ports, words, shapes, strict=True)]
