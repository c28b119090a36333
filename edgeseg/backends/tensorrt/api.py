"""The part of TensorRT's Python API that edgeseg uses: each class has the name, and only such members, that TensorRT gives it.

mypy holds our code to these classes, and tests/edgeseg/backends/tensorrt/test_api.py holds these classes to what the
releases of TensorRT 10, 11 and TensorRT-RTX export. So a name that a release lacks cannot be used unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, SupportsInt

RTX_ONLY = frozenset(
    {
        "Module.ComputeCapability",
        "IBuilderConfig.num_compute_capabilities",
        "IBuilderConfig.set_compute_capability",
        "IExecutionContext.is_stream_capturable",
    }
)
"""What TensorRT-RTX alone has; used only where `Library.rtx` or ``hasattr`` says so."""


class ILogger(Protocol):
    """Takes what the library has to say; edgeseg subclasses it."""

    ERROR: SupportsInt

    def log(self, severity: SupportsInt, message: str, /) -> None:
        """Called by the library, from any thread."""
        ...


class IProgressMonitor(Protocol):
    """Is told of a build's phases, which nest; edgeseg subclasses it."""

    def phase_start(self, name: str, parent: str | None, steps: int, /) -> None:
        """A phase of so many steps begins inside ``parent``."""
        ...

    def step_complete(self, name: str, step: int, /) -> bool:
        """Step number ``step``, from 0, is done; the answer False cancels the build."""
        ...

    def phase_finish(self, name: str, /) -> None:
        """The phase has ended, complete or not."""
        ...


class DataType(Protocol):
    """Dtypes of tensors."""

    FLOAT: object
    HALF: object
    INT8: object
    INT32: object
    INT64: object
    BOOL: object
    UINT8: object


class LayerType(Protocol):
    """Kinds of layers."""

    CONVOLUTION: object
    DECONVOLUTION: object
    QUANTIZE: object
    DEQUANTIZE: object
    NMS: object
    NON_ZERO: object
    TOPK: object


class BuilderFlag(Protocol):
    """Switches of a build."""

    TF32: object


class NetworkDefinitionCreationFlag(Protocol):
    """Switches of a network: numbers of bits."""

    STRONGLY_TYPED: SupportsInt


class ITensor(Protocol):
    """A tensor of a network."""

    name: str
    dtype: object
    shape: Iterable[int]


class ILayer(Protocol):
    """A layer of a network."""

    name: str
    type: object

    def get_output(self, index: int, /) -> ITensor:
        """One of its outputs."""
        ...


class INetworkDefinition(Protocol):
    """What the parser fills."""

    num_inputs: int
    num_outputs: int
    num_layers: int

    def get_input(self, index: int, /) -> ITensor:
        """One of its inputs."""
        ...

    def get_output(self, index: int, /) -> ITensor:
        """One of its outputs."""
        ...

    def get_layer(self, index: int, /) -> ILayer:
        """One of its layers."""
        ...


class ParserError(Protocol):
    """One complaint of the parser."""

    def node(self) -> int:
        """Number of the node; -1 if it is not about a node."""
        ...

    def node_name(self) -> str:
        """Its name, often empty."""
        ...

    def node_operator(self) -> str:
        """Its ONNX operator."""
        ...

    def desc(self) -> str:
        """What is wrong, in the library's words."""
        ...


class OnnxParser(Protocol):
    """Reads an ONNX file into a network."""

    num_errors: int

    def parse_from_file(self, path: str, /) -> bool:
        """Whether it could; finds external data beside the file."""
        ...

    def get_error(self, index: int, /) -> ParserError:
        """One of its complaints."""
        ...


class IBuilderConfig(Protocol):
    """How to build."""

    progress_monitor: IProgressMonitor
    num_compute_capabilities: int

    def clear_flag(self, flag: object, /) -> None:
        """Switch off."""
        ...

    def set_compute_capability(self, capability: object, index: int, /) -> bool:
        """The GPU generation to build for, one of several."""
        ...


class IHostMemory(Protocol):
    """Bytes that the library owns, read through the buffer protocol."""


class Builder(Protocol):
    """Makes networks and builds them."""

    def create_network(self, flags: int, /) -> INetworkDefinition:
        """An empty network; ``flags`` has a bit set for each switch."""
        ...

    def create_builder_config(self) -> IBuilderConfig:
        """The default settings."""
        ...

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig, /) -> IHostMemory | None:
        """The plan; None after a failure, which the logger was told, or a cancelled build."""
        ...


class IExecutionContext(Protocol):
    """What one stream of runs needs of an engine."""

    def set_tensor_address(self, name: str, address: int, /) -> bool:
        """Where on the device an input or output lies."""
        ...

    def execute_async_v3(self, stream_handle: int, /) -> bool:
        """Queue one run."""
        ...

    def is_stream_capturable(self, stream_handle: int, /) -> bool:
        """Whether a run can be captured."""
        ...


class ICudaEngine(Protocol):
    """A plan that was loaded."""

    num_io_tensors: int

    def get_tensor_name(self, index: int, /) -> str:
        """One of its inputs and outputs."""
        ...

    def get_tensor_mode(self, name: str, /) -> object:
        """``TensorIOMode.INPUT`` or ``OUTPUT``."""
        ...

    def get_tensor_dtype(self, name: str, /) -> object:
        """A member of `DataType`."""
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
