"""ONNX file -> TensorRT network, held to what the manifest says of it before anything is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeseg.backends.base import Tensor, check_tensors
from edgeseg.backends.tensorrt.api import ILayer, ILogger, INetworkDefinition, ITensor, OnnxParser
from edgeseg.backends.tensorrt.faults import Fault, cannot_load
from edgeseg.backends.tensorrt.library import Library, Module
from edgeseg.bundle import Graph
from edgeseg.errors import BackendError, BundleError

PRECISIONS = ("fp32", "fp16", "int8")
"""What an engine can be built in."""


@dataclass(frozen=True)
class Census:
    """How many layers of the kinds that tell a network's precision."""

    layers: int
    convolutions: int
    half_convolutions: int
    """Convolutions, transposed ones too, whose output is float16."""
    quantize_layers: int
    """Q and DQ layers."""

    @property
    def precision(self) -> str:
        """What the network is computed in."""
        return "int8" if self.quantize_layers else "fp16" if self.half_convolutions else "fp32"

    def to_json(self) -> Mapping[str, int]:
        """For a sidecar."""
        return asdict(self)


def parse(library: Library, file: Path, logger: ILogger, network: INetworkDefinition) -> None:
    """Read ``file``, with its external data, into ``network``.

    Raises:
        BackendError: TensorRT cannot; one sentence names the node, its operator and the remedy.
    """
    parser = library.module.OnnxParser(network, logger)
    if not parser.parse_from_file(str(file)):
        raise cannot_load(library, file, _first_fault(parser))
    if network.num_outputs == 0:
        raise BackendError(f"{library} cannot load {file}: it is not an ONNX graph. Copy the bundle again, or export the model again.")


def check(library: Library, file: Path, graph: Graph, precision: str, network: INetworkDefinition) -> Census:
    """Raise unless the network has the inputs and outputs of ``graph`` and the layers of ``precision``; returns their numbers.

    Raises:
        BackendError: a name, dtype or shape is not what the manifest declares.
        BundleError: the file is not of that precision.
    """
    module = library.module
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    check_tensors(file, graph, list(_tensors(module, inputs)), list(_tensors(module, outputs)))
    found = census(module, layers(network))
    if precision not in PRECISIONS:
        raise BackendError(f"TensorRT engines are built in {', '.join(PRECISIONS)}, not in {precision}. Choose one with --precision.")
    if found.precision != precision:
        raise BundleError(
            f"{file} is not {precision} but {found.precision}: of its {found.convolutions} convolutions {found.half_convolutions} are"
            f" float16, and it has {found.quantize_layers} Q and DQ layers. Export the model again with --precision {precision}."
        )
    return found


def census(module: Module, network: Iterable[ILayer]) -> Census:
    """Count the layers of a parsed network."""
    kinds = module.LayerType
    found = list(network)
    convolutions = [layer for layer in found if layer.type in (kinds.CONVOLUTION, kinds.DECONVOLUTION)]
    return Census(
        layers=len(found),
        convolutions=len(convolutions),
        half_convolutions=sum(layer.get_output(0).dtype == module.DataType.HALF for layer in convolutions),
        quantize_layers=sum(layer.type in (kinds.QUANTIZE, kinds.DEQUANTIZE) for layer in found),
    )


def layers(network: INetworkDefinition) -> Iterator[ILayer]:
    """The layers of a network, in order."""
    return (network.get_layer(index) for index in range(network.num_layers))


def _tensors(module: Module, tensors: Iterable[ITensor]) -> Iterator[Tensor]:
    kinds = module.DataType
    words = {
        kinds.FLOAT: "float32",
        kinds.HALF: "float16",
        kinds.INT8: "int8",
        kinds.INT32: "int32",
        kinds.INT64: "int64",
        kinds.BOOL: "bool",
        kinds.UINT8: "uint8",
    }
    for tensor in tensors:
        yield tensor.name, words.get(tensor.dtype, str(tensor.dtype)), [side if side >= 0 else None for side in tensor.shape]


def _first_fault(parser: OnnxParser) -> Fault:
    """What the parser stumbled on; later complaints follow from the first."""
    if not parser.num_errors:
        return Fault(())
    error = parser.get_error(0)
    return Fault((error.desc(),), error.node_operator(), repr(error.node_name()) if error.node_name() else f"number {error.node()}")
