"""TensorRT without a GPU: the library's runtime in Python, on the fake device, with numpy functions as engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from edgeseg.backends.tensorrt import Parts, TensorRt
from edgeseg.device import DeviceProbe, Driver
from edgeseg.device.fake import FakeCuda, FakeDevice
from edgeseg.errors import BackendError
from edgeseg.types import AnyArray
from tests.contract.graphs import GRAPHS, Tensors

VERSION = "0.fake"
_NAMES = {"float32": "FLOAT", "float16": "HALF", "int64": "INT64", "int32": "INT32", "bool": "BOOL", "uint8": "UINT8", "int8": "INT8"}
DataType = Enum("DataType", list(_NAMES.values()))
TensorIOMode = Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])


class ILogger:
    """What the library calls with what it has to say."""

    ERROR = 1

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Port:
    """An input or output of a plan."""

    mode: TensorIOMode
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Engine:
    """A plan is the bytes of an ONNX file."""

    def __init__(self, device: FakeDevice, plan: bytes, logger: ILogger) -> None:
        self.model = onnx.load_model_from_string(plan)
        self.device, self.logger = device, logger
        self.ports = {
            value.name: Port(mode, *_type(value))
            for mode, values in ((TensorIOMode.INPUT, self.model.graph.input), (TensorIOMode.OUTPUT, self.model.graph.output))
            for value in values
        }
        self.num_io_tensors = len(self.ports)

    def get_tensor_name(self, index: int) -> str:
        return list(self.ports)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self.ports[name].mode

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[_NAMES[self.ports[name].dtype.name]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.ports[name].shape

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    """Queues work in the fake device's stream, on the addresses that are bound at that moment. ``failing`` runs fail first."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.answer = _answer(engine.model)
        self.addresses: dict[str, int] = {}
        self.failing = 0

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in self.engine.ports

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.failing:
            self.failing -= 1
            self.engine.logger.log(1, "[fake.cpp::enqueue::1] Error Code 1: a made-up failure")
            return False
        bound = dict(self.addresses)
        self.engine.device.enqueue(stream_handle, lambda: self._work(bound))
        return True

    def _work(self, bound: dict[str, int]) -> None:
        places = {name: self._array(name, address) for name, address in bound.items()}
        feeds = {name: places[name].copy() for name, port in self.engine.ports.items() if port.mode is TensorIOMode.INPUT}
        for name, found in self.answer(feeds).items():
            places[name][...] = found

    def _array(self, name: str, address: int) -> AnyArray:
        port = self.engine.ports[name]
        return self.engine.device.view(address).view(port.dtype).reshape(port.shape)


class Runtime:
    """Refuses what is no ONNX file."""

    def __init__(self, device: FakeDevice, logger: ILogger) -> None:
        self._device, self._logger = device, logger

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        try:
            return Engine(self._device, plan, self._logger)
        except Exception as error:  # noqa: BLE001  whatever onnx raises
            self._logger.log(1, f"Error Code 1: Serialization ({error})")  # noqa: G004  no logger of Python's
            return None


class FakeLibrary:
    """Stands for an installed TensorRT."""

    version = VERSION
    rtx = False

    def __init__(self, device: FakeDevice) -> None:
        self.module = SimpleNamespace(ILogger=ILogger, Runtime=lambda logger: Runtime(device, logger))

    def __str__(self) -> str:
        return f"TensorRT {VERSION}"


def parts(device: FakeDevice, **changed: Any) -> Parts:
    """The parts of a backend on a fake device."""

    class OneDevice(FakeCuda):
        def open(self) -> FakeDevice:
            return device

    def choose() -> tuple[Driver | None, DeviceProbe]:
        return OneDevice(), FakeCuda().probe()

    return Parts(**{"find_library": lambda: FakeLibrary(device), "choose_device": choose, "plan": plan, **changed})


def plan(request: Any, report: Any, note: Any) -> bytes:
    """The plan of a file is the file, if it is one."""
    try:
        model = onnx.load(request.file)
        onnx.checker.check_model(model, full_check=True)
        if not model.graph.output:
            raise ValueError("no outputs")
        return model.SerializeToString()
    except Exception as error:
        raise BackendError(f"TensorRT {VERSION} cannot load {request.file}: {error}") from error


def backend(device: FakeDevice | None = None) -> TensorRt:
    """The tensorrt backend on a fake device."""
    return TensorRt(parts(device or FakeDevice()))


def _answer(model: onnx.ModelProto) -> Callable[[Tensors], Tensors]:
    """The numpy function of a graph of the contract; for any other, onnx's own reference."""
    known = [tiny.reference for tiny in GRAPHS if tiny.name == model.graph.name]
    if known:
        return known[0]
    names, reference = [value.name for value in model.graph.output], ReferenceEvaluator(model)
    return lambda feeds: dict(zip(names, reference.run(names, dict(feeds)), strict=True))


def _type(value: onnx.ValueInfoProto) -> tuple[np.dtype[Any], tuple[int, ...]]:
    kind = value.type.tensor_type
    return helper.tensor_dtype_to_np_dtype(kind.elem_type), tuple(side.dim_value for side in kind.shape.dim)
