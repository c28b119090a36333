"""ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.backends.base import Probe, Session, Tensor, check_tensors
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError, MissingDependencyError
from edgeseg.types import AnyArray

PROVIDER = "CPUExecutionProvider"
REMEDY = "pip install 'edgeseg[cpu]'"
_DTYPES = {"float": "float32", "double": "float64"}
"""ONNX Runtime's words for what numpy calls otherwise."""


def _library() -> Any:
    return importlib.import_module("onnxruntime")


def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own that share no base but Exception."""
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = [entry for entry in vars(native).values() if isinstance(entry, type) and issubclass(entry, Exception)]
    return (*own, RuntimeError, ValueError)


class OnnxRuntime:
    """Runs graphs with ONNX Runtime's own CPU kernels, in the precision that the file holds."""

    name = "onnxruntime"
    own_precisions: Mapping[str, str] = {}

    def probe(self) -> Probe:
        """See `edgeseg.backends.base.Backend`."""
        try:
            library = _library()
        except ImportError as error:
            return Probe(False, detail=str(error), remedy=REMEDY)
        providers = ", ".join(name.removesuffix("ExecutionProvider") for name in library.get_available_providers())
        return Probe(True, library.__version__, f"CPU (this build also lists: {providers})")

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:
        """See `edgeseg.backends.base.Backend`."""
        try:
            library = _library()
        except ImportError as error:
            raise MissingDependencyError.for_extra("onnxruntime", "cpu", error) from error
        options = library.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        try:
            handle = library.InferenceSession(str(file), options, providers=[PROVIDER])
        except _errors() as error:
            raise BackendError(f"ONNX Runtime {library.__version__} cannot load {file}: {error}") from error
        check_tensors(file, graph, _tensors(handle.get_inputs()), _tensors(handle.get_outputs()))
        return _OnnxRuntimeSession(graph, f"CPU, {precision}, {threads or 'all'} threads", handle)


def _tensors(ports: list[Any]) -> list[Tensor]:
    words = [port.type.removeprefix("tensor(").removesuffix(")") for port in ports]
    shapes = [[side if isinstance(side, int) else None for side in port.shape] for port in ports]
    return [(port.name, _DTYPES.get(word, word), shape) for port, word, shape in zip(ports, words, shapes, strict=True)]


class _OnnxRuntimeSession(Session):
    def __init__(self, graph: Graph, runs_on: str, handle: Any) -> None:
        super().__init__(graph, runs_on)
        self._handle = handle
        self._value = _library().OrtValue.ortvalue_from_numpy
        self._fetch = [spec.name for spec in graph.outputs]

    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        # OrtValues share the memory of the arrays they come from, and each run gives new ones.
        values = {name: self._value(array) for name, array in feeds.items()} | dict(handles)
        try:
            found = dict(zip(self._fetch, self._handle.run_with_ort_values(self._fetch, values), strict=True))
        except _errors() as error:
            raise BackendError(f"ONNX Runtime failed while running the graph: {error}") from error
        return {name: value.numpy() for name, value in found.items() if name not in keep}, {name: found[name] for name in keep}

    def _release(self) -> None:
        self._handle = None
