"""Plan -> engine that is ready to run, with the part of TensorRT's runtime that edgeseg uses as protocols.

The classes have the names, and only such members, that TensorRT 10, 11 and TensorRT-RTX give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edgeseg.backends.base import Tensor
from edgeseg.errors import BackendError

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
}
"""TensorRT's names of dtypes -> numpy's."""
_LINES_MAX = 3


class Enumerated(Protocol):
    """A member of one of TensorRT's enums: `DataType`, `TensorIOMode`."""

    name: str


class IExecutionContext(Protocol):
    """What one stream of runs needs of an engine."""

    def set_tensor_address(self, name: str, address: int, /) -> bool:
        """Where on the device an input or output lies."""
        ...

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Queue one run."""
        ...


class ICudaEngine(Protocol):
    """A plan that was loaded."""

    num_io_tensors: int

    def get_tensor_name(self, index: int, /) -> str:
        """One of its inputs and outputs."""
        ...

    def get_tensor_mode(self, name: str, /) -> Enumerated:
        """INPUT or OUTPUT."""
        ...

    def get_tensor_dtype(self, name: str, /) -> Enumerated:
        """Such as FLOAT."""
        ...

    def get_tensor_shape(self, name: str, /) -> Iterable[int]:
        """Its sides; -1 where one is not fixed."""
        ...

    def create_execution_context(self) -> IExecutionContext | None:
        """None after a failure, which the logger was told."""
        ...


class Runtime(Protocol):
    """Loads plans."""

    def deserialize_cuda_engine(self, serialized_engine: bytes, /) -> ICudaEngine | None:
        """None after a failure, which the logger was told."""
        ...


class PlanRefusedError(Exception):
    """A plan that this library or GPU cannot load: throw it away and build it again. Never reaches a user."""


@dataclass(frozen=True, repr=False)
class Engine:
    """An engine with its one context. The library frees its parts with their last references; the device must be active then."""

    context: IExecutionContext
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    errors: list[str]
    """What the library calls errors, oldest first; it appends to them as they occur."""
    owners: Sequence[object] = field(default=())
    """What must live as long as the context."""


def failure(doing: str, errors: list[str]) -> BackendError:
    """The error for a call that did not work, with what the library said meanwhile, which is taken out of ``errors``."""
    said = _said(errors)
    errors.clear()
    return BackendError(f"TensorRT failed while {doing}: {said}. 'edgeseg doctor' shows what this machine has.")


def load_engine(make_runtime: Callable[[list[str]], Runtime], plan: bytes) -> Engine:
    """Load a plan. The device must be active.

    Args:
        make_runtime: makes the library's runtime, whose logger appends errors to the list given.
        plan: what the builder made.

    Raises:
        PlanRefusedError: the library cannot load the plan.
        BackendError: it can, but there is no memory to run it.
    """
    errors: list[str] = []
    runtime = make_runtime(errors)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise PlanRefusedError(_said(errors))
    context = engine.create_execution_context()
    if context is None:
        raise failure("preparing to run the engine, for which the GPU may lack memory", errors)
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name).name == "INPUT"]
    outputs = [name for name in names if name not in inputs]
    sides = ([_tensor(engine, name) for name in side] for side in (inputs, outputs))
    return Engine(context, *sides, errors, (runtime, engine))


def _said(errors: list[str]) -> str:
    return " ".join(" ".join(errors[-_LINES_MAX:]).split()) or "it gave no reason"


def _tensor(engine: ICudaEngine, name: str) -> Tensor:
    word = engine.get_tensor_dtype(name).name
    return name, _DTYPES.get(word, word), [side if side >= 0 else None for side in engine.get_tensor_shape(name)]
