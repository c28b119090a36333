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
    """The step between two levels for values up to ``largest``; 1 where all values are 0."""
    largest = np.asarray(largest, np.float32)
    return np.where(largest > 0, largest / LEVELS, 1).astype(np.float32)


def to_int8(model: onnx.ModelProto, ranges: Mapping[str, float], keep_float: Collection[str]) -> onnx.ModelProto:
    """A copy of a float32 graph with Q/DQ around its layers, but for those named; inputs and outputs are the same.

    Args:
        model: with its weights inside.
        ranges: largest absolute value of every activation that a layer reads.
        keep_float: names of layers, as `LayerGraph.layers` has them.
    """
    graph = LayerGraph(model)
    layers = [layer for layer in graph.layers.values() if layer.name not in keep_float]
    if not layers:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    renamed = _readers(graph, layers)
    made = _weight_nodes(graph, layers, result.graph)
    for node, source in zip(result.graph.node, model.graph.node, strict=True):
        for index, name in renamed.get(source.output[0], {}).items():
            node.input[index] = name
    activations = dict.fromkeys(name for layer in layers for name in layer.inputs)
    result.graph.initializer.append(numpy_helper.from_array(np.int8(0), _ZERO))
    pairs = {name: _pair(name, ranges[name], result.graph) for name in activations}
    nodes = list(made)
    for entry in result.graph.input:
        nodes += pairs.get(entry.name, [])
    for node in result.graph.node:
        nodes.append(node)
        nodes += [one for name in node.output for one in pairs.get(name, [])]
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    result.graph.ClearField("node")
    result.graph.node.extend(kept)
    result.graph.ClearField("value_info")
    return without_unused(result)


def _readers(graph: LayerGraph, layers: list[Layer]) -> dict[str, dict[int, str]]:
    """First output of each node that is to read something quantised -> which of its inputs, and the new name."""
    renamed: dict[str, dict[int, str]] = {}
    quantised = {name for layer in layers for name in layer.inputs}
    for layer in layers:
        for node in layer.nodes:
            renamed.setdefault(node.output[0], {}).update({0: f"{node.input[0]}_dq", 1: f"{layer.weight}_dq"})
    for name in quantised:
        for node, index in graph.consumers[name]:
            if node.op_type == "Add":
                renamed.setdefault(node.output[0], {})[index] = f"{name}_dq"
    return renamed


def _weight_nodes(graph: LayerGraph, layers: list[Layer], into: onnx.GraphProto) -> list[onnx.NodeProto]:
    nodes = []
    for layer in layers:
        values, scale = quantised_weight(graph.array(layer.weight), layer.channel_axis)
        names = [f"{layer.weight}_{part}" for part in ("int8", "scale", "zero")]
        for name, array in zip(names, (values, scale, np.zeros(len(scale), np.int8)), strict=True):
            into.initializer.append(numpy_helper.from_array(array, name))
        nodes.append(helper.make_node("DequantizeLinear", names, [f"{layer.weight}_dq"], name=f"dq_{layer.name}", axis=layer.channel_axis))
    return nodes


def _pair(tensor: str, largest: float, into: onnx.GraphProto) -> list[onnx.NodeProto]:
    scale = f"{tensor}_scale"
    into.initializer.append(numpy_helper.from_array(scale_of(np.float32(largest)), scale))
    return [
        helper.make_node("QuantizeLinear", [tensor, scale, _ZERO], [f"{tensor}_q"], name=f"q_{tensor}"),
        helper.make_node("DequantizeLinear", [f"{tensor}_q", scale, _ZERO], [f"{tensor}_dq"], name=f"dq_{tensor}"),
    ]
