"""Plan -> engine that is ready to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgeseg.backends.base import Tensor
from edgeseg.backends.tensorrt.api import ICudaEngine, IExecutionContext, Runtime
from edgeseg.backends.tensorrt.log import letting_go
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
_MODES = ("INPUT", "OUTPUT")
_LINES_MAX = 3


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
    with letting_go():
        return _load(make_runtime, plan)


def _load(make_runtime: Callable[[list[str]], Runtime], plan: bytes) -> Engine:
    errors: list[str] = []
    runtime = make_runtime(errors)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise PlanRefusedError(_said(errors))
    context = engine.create_execution_context()
    if context is None:
        raise failure("preparing to run the engine, for which the GPU may lack memory", errors)
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs, outputs = ([_tensor(engine, name) for name in names if _word(engine.get_tensor_mode(name)) == mode] for mode in _MODES)
    return Engine(context, inputs, outputs, errors, (runtime, engine))


def _said(errors: list[str]) -> str:
    return " ".join(" ".join(errors[-_LINES_MAX:]).split()) or "it gave no reason"


def _tensor(engine: ICudaEngine, name: str) -> Tensor:
    word = _word(engine.get_tensor_dtype(name))
    return name, _DTYPES.get(word, word), [side if side >= 0 else None for side in engine.get_tensor_shape(name)]


def _word(member: object) -> str:
    """FLOAT of ``DataType.FLOAT``."""
    return str(member).rpartition(".")[2]
