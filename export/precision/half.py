"""fp16: convolutions and what lies between them in half precision; decoding, overlaps and suppression stay float.

The casts are in the graph, so every backend, and TensorRT in its strongly typed form, computes exactly these parts in half.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.types import AnyArray

from .layers import LayerGraph

LARGEST = 65504.0
"""The largest number that half precision holds."""
_BETWEEN = {
    **dict.fromkeys(("Relu", "LeakyRelu", "MaxPool", "AveragePool", "Resize"), (0,)),
    "Add": (0, 1),
    "Clip": (0, 1, 2),
    "Pad": (0, 2),
    "Concat": None,
}
"""Operators that stay in half between two layers -> which of their inputs have the type of the data; None = all."""
_SUFFIX = "_half"


def half(values: AnyArray) -> AnyArray:
    """float16 of what half precision can hold; larger numbers become its largest."""
    return np.clip(values, -LARGEST, LARGEST).astype(np.float16)


def to_half(model: onnx.ModelProto, keep_float: Collection[str] = ()) -> onnx.ModelProto:
    """A copy of a float32 graph whose layers compute in half precision, but for those named; inputs and outputs are the same.

    Args:
        model: with its weights inside.
        keep_float: names of layers, as `LayerGraph.layers` has them.
    """
    graph = LayerGraph(model)
    halves = _half_nodes(graph, keep_float)
    return _Rewriter(model, halves).rewrite()


def _half_nodes(graph: LayerGraph, keep_float: Collection[str]) -> dict[int, tuple[int, ...]]:
    """Position of each node that is to compute in half -> which of its inputs are then half."""
    nodes = list(graph.model.graph.node)
    layers = {id(node) for layer in graph.layers.values() if layer.name not in keep_float for node in layer.nodes}
    data = {k: _data_inputs(node, id(node) in layers) for k, node in enumerate(nodes)}
    half_tensors: set[str] = set()
    forward = set()
    for k, node in enumerate(nodes):
        sources = [node.input[i] for i in data[k] if node.input[i] not in graph.weights]
        if id(node) in layers or (data[k] and all(name in half_tensors for name in sources)):
            forward.add(k)
            half_tensors.update(node.output)
    needed: set[str] = set()
    chosen = {}
    for k in sorted(forward, reverse=True):
        node = nodes[k]
        if id(node) in layers or any(name in needed for name in node.output):
            chosen[k] = data[k]
            needed.update(node.input[i] for i in data[k])
    return chosen


def _data_inputs(node: onnx.NodeProto, is_layer: bool) -> tuple[int, ...]:
    if not is_layer and node.op_type not in _BETWEEN:
        return ()
    places = None if is_layer else _BETWEEN[node.op_type]
    given = [i for i, name in enumerate(node.input) if name]
    return tuple(i for i in given if places is None or i in places)


class _Rewriter:
    def __init__(self, model: onnx.ModelProto, halves: dict[int, tuple[int, ...]]) -> None:
        self._model = model
        self._halves = halves
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made = {name for k in halves for name in model.graph.node[k].output}
        """Tensors that half nodes give, by their old names."""
        self._cast: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []

    def rewrite(self) -> onnx.ModelProto:
        read_as_float = {output.name for output in self._model.graph.output}
        for k, node in enumerate(self._model.graph.node):
            read_as_float.update(name for i, name in enumerate(node.input) if i not in self._halves.get(k, ()))
        for k, node in enumerate(self._model.graph.node):
            self._add(node, self._halves.get(k), read_as_float)
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        for field, entries in (("node", self._nodes), ("initializer", list(self._weights.values())), ("value_info", [])):
            result.graph.ClearField(field)
            getattr(result.graph, field).extend(entries)
        return without_unused(result)

    def _add(self, node: onnx.NodeProto, half_inputs: tuple[int, ...] | None, read_as_float: set[str]) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if half_inputs is None:
            self._nodes.append(copy)
            return
        for i in half_inputs:
            copy.input[i] = self._half(node.input[i])
        for i, name in enumerate(node.output):
            copy.output[i] = name + _SUFFIX
        self._nodes.append(copy)
        self._nodes += [_cast(name + _SUFFIX, name, TensorProto.FLOAT) for name in node.output if name in read_as_float]

    def _half(self, name: str) -> str:
        """The half form of a tensor, made on the first use."""
        name_half = name + _SUFFIX
        if name in self._weights:
            if name_half not in self._weights:
                values = numpy_helper.to_array(self._weights[name])
                self._weights[name_half] = numpy_helper.from_array(half(values), name_half)
        elif name not in self._made and name not in self._cast:
            self._cast.add(name)
            self._nodes.append(_cast(name, name_half, TensorProto.FLOAT16))
        return name_half


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=kind)


def without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop initializers that no node reads any more; changes the model."""
    read = {name for node in model.graph.node for name in node.input} | {output.name for output in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept)
    return model
