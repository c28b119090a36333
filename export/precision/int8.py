"""int8: Q/DQ around the layers, in the one form that ONNX Runtime, OpenVINO and TensorRT all turn into integer kernels.

Symmetric int8 everywhere, activations per tensor, weights per output channel and stored as int8, biases float (TensorRT refuses other
zero points and integer biases). A tensor is quantised once, and residual additions read the quantised tensor too: the stream through
a trunk then stays in bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeseg.types import AnyArray, F32Array

from .half import without_unused
from .layers import Layer, LayerGraph

LEVELS = 127
_ZERO = "int8_zero"


def quantised_weight(values: F32Array, channel_axis: int) -> tuple[AnyArray, F32Array]:
    """Symmetric int8 per output channel.

    Args:
        values: float32 weights.
        channel_axis: the axis of the output channels.

    Returns:
        int8 of the same shape, and float32 (channels,) scales: value = int8 * scale.
    """
    others = tuple(axis for axis in range(values.ndim) if axis != channel_axis)
    scale = scale_of(np.abs(values).max(axis=others))
    shape = [-1 if axis == channel_axis else 1 for axis in range(values.ndim)]
    return np.clip(np.rint(values / scale.reshape(shape)), -LEVELS, LEVELS).astype(np.int8), scale


def scale_of(largest: AnyArray) -> F32Array:
    """The step between two levels for values up to ``largest``; 1 where all values are 0, or so small that the step would be no number."""
    largest = np.asarray(largest, np.float32)
    return np.where(largest >= LEVELS * np.finfo(np.float32).tiny, largest / LEVELS, 1).astype(np.float32)


def to_int8(model: onnx.ModelProto, ranges: Mapping[str, float], keep_float: Collection[str]) -> onnx.ModelProto:
    """A copy of a float32 graph with Q/DQ around its layers, but for those named; inputs and outputs are the same.

    Args:
        model: with its weights inside.
        ranges: absolute value that int8 spans, of every activation that a layer reads.
        keep_float: names of layers, as `LayerGraph.layers` has them.
    """
    graph = LayerGraph(model)
    layers = [layer for layer in graph.layers.values() if layer.name not in keep_float]
    return _Writer(graph, layers, ranges).write() if layers else model


class _Writer:
    def __init__(self, graph: LayerGraph, layers: list[Layer], ranges: Mapping[str, float]) -> None:
        self._graph = graph
        self._layers = layers
        self._ranges = ranges
        self._quantised = dict.fromkeys(name for layer in layers for name in layer.inputs)
        self._of_node = {id(node): layer for layer in layers for node in layer.nodes}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers = list(graph.model.graph.initializer)

    def write(self) -> onnx.ModelProto:
        self._constant(np.int8(0), _ZERO)
        for layer in self._layers:
            self._add_weight(layer)
        for entry in self._graph.model.graph.input:
            self._quantise(entry.name)
        for node in self._graph.model.graph.node:
            self._add(node)
        result = onnx.ModelProto()
        result.CopyFrom(self._graph.model)
        for field, entries in (("node", self._nodes), ("initializer", self._initializers), ("value_info", [])):
            result.graph.ClearField(field)
            getattr(result.graph, field).extend(entries)
        return without_unused(result)

    def _add(self, node: onnx.NodeProto) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        layer = self._of_node.get(id(node))
        for index, name in enumerate(node.input):
            if name in self._quantised and (node.op_type == "Add" or (layer is not None and index == 0)):
                copy.input[index] = self._dequantised(name, f"{node.output[0]}_{index}")
        if layer is not None:
            copy.input[1] = f"{layer.weight}_dq"
        self._nodes.append(copy)
        for name in node.output:
            self._quantise(name)

    def _quantise(self, tensor: str) -> None:
        if tensor in self._quantised:
            self._constant(scale_of(np.float32(self._ranges[tensor])), f"{tensor}_scale")
            self._node("QuantizeLinear", [tensor, f"{tensor}_scale", _ZERO], f"{tensor}_q")

    def _dequantised(self, tensor: str, reader: str) -> str:
        """A tensor out of its int8 form, for one reader alone: so that a backend can fuse the two, whoever else reads the tensor."""
        return self._node("DequantizeLinear", [f"{tensor}_q", f"{tensor}_scale", _ZERO], f"{reader}_dq")

    def _add_weight(self, layer: Layer) -> None:
        values, scale = quantised_weight(self._graph.array(layer.weight), layer.channel_axis)
        names = [f"{layer.weight}_{part}" for part in ("int8", "scale", "zero")]
        for name, array in zip(names, (values, scale, np.zeros(len(scale), np.int8)), strict=True):
            self._constant(array, name)
        self._node("DequantizeLinear", names, f"{layer.weight}_dq", axis=layer.channel_axis)

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: int) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, values: AnyArray, name: str) -> None:
        self._initializers.append(numpy_helper.from_array(np.asarray(values), name))
