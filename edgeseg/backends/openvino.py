"""OpenVINO on the CPU."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.backends.base import Probe, Session, Tensor, check_tensors
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError, MissingDependencyError
from edgeseg.types import AnyArray

DEVICE = "CPU"
REMEDY = "pip install 'edgeseg[cpu]'"
BF16 = "bf16"
"""OpenVINO's own bfloat16 of a float32 graph. Left alone it would use it on CPUs that have it; here it must be asked for."""


def _library() -> Any:
    return importlib.import_module("openvino")


@functools.cache
def _core() -> Any:
    """The one core of this process.

    Each core gives the thread that loads its plugin a stack for signals. Two that end in the order in which they began leave that
    thread with a stack that is gone, and the next signal, such as Ctrl-C, ends the process (seen with 2026.4.1).
    """
    return _library().Core()


class OpenVino:
    """Runs graphs with OpenVINO's CPU plugin, in exactly the precision asked for."""

    name = "openvino"
    own_precisions: Mapping[str, str] = {BF16: "fp32"}

    def probe(self) -> Probe:
        """See `edgeseg.backends.base.Backend`."""
        try:
            library = _library()
        except ImportError as error:
            return Probe(False, detail=str(error), remedy=REMEDY)
        core = _core()
        if DEVICE not in core.available_devices:
            return Probe(False, library.__version__, f"no {DEVICE} plugin, only {core.available_devices}", REMEDY)
        return Probe(True, library.__version__, f"CPU: {core.get_property(DEVICE, 'FULL_DEVICE_NAME')}")

    def open(self, file: Path, graph: Graph, precision: str, threads: int | None) -> Session:
        """See `edgeseg.backends.base.Backend`."""
        try:
            library = _library()
        except ImportError as error:
            raise MissingDependencyError.for_extra("openvino", "cpu", error) from error
        if precision == BF16:
            _require_bf16(library)
        hint = BF16 if precision == BF16 else "f32"
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = _core().compile_model(str(file), DEVICE, settings)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO {library.__version__} cannot load {file}: {error}") from error
        check_tensors(file, graph, _tensors(compiled.inputs), _tensors(compiled.outputs))
        return _OpenVinoSession(graph, f"CPU, {precision}, {threads or 'all'} threads", compiled.create_infer_request())


def _require_bf16(library: Any) -> None:
    if "BF16" not in _core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise BackendError(
            f"OpenVINO {library.__version__} does not compute in bfloat16 on this CPU: it has no instructions for it. Use --precision fp32."
        )


def _tensors(ports: list[Any]) -> list[Tensor]:
    return [(name, port.get_element_type().to_dtype().name, _shape(port)) for port in ports for name in port.get_names()]


def _shape(port: Any) -> list[int | None]:
    return [side.get_length() if side.is_static else None for side in port.get_partial_shape()]


class _OpenVinoSession(Session):
    def __init__(self, graph: Graph, runs_on: str, request: Any) -> None:
        super().__init__(graph, runs_on)
        self._request = request

    def _run(
        self, feeds: Mapping[str, AnyArray], handles: Mapping[str, Any], keep: frozenset[str]
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        try:
            kept = {name: self._own_memory(name) for name in keep}
            self._request.infer({**feeds, **handles}, share_inputs=True)
            # Copies: the request's own buffers are overwritten by the next run.
            outputs = {spec.name: self._request.get_tensor(spec.name).data.copy() for spec in self.graph.outputs if spec.name not in keep}
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed while running the graph: {error}") from error
        return outputs, kept

    def _own_memory(self, output: str) -> Any:
        """A new tensor for an output to be written into, so that the one of the last run stays what it was."""
        before = self._request.get_tensor(output)
        tensor = _library().Tensor(before.element_type, before.shape)
        self._request.set_tensor(output, tensor)
        return tensor

    def _release(self) -> None:
        self._request = None
