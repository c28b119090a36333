"""The layers of an ONNX graph: what has weights, under the names of the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnx
from onnx import numpy_helper

_CHANNEL_AXES = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": 1}
"""Operator -> the axis of its weights that counts output channels (Gemm: of transposed weights, as torch writes them)."""
_ENDS = frozenset({"Softmax", "Sigmoid", "Tanh", "Exp", "TopK", "ArgMax", "NonMaxSuppression"})
"""What turns a prediction into probabilities, boxes or an order."""


@dataclass(frozen=True)
class Layer:
    """Nodes that share one weight: a head that serves all pyramid levels is one layer."""

    name: str
    """The module's name in the network, such as ``net.backbone.layers.0.0.conv1``."""
    weight: str
    channel_axis: int
    nodes: tuple[onnx.NodeProto, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The activations that it is applied to."""
        return tuple(node.input[0] for node in self.nodes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it makes of them, in the same order."""
        return tuple(node.output[0] for node in self.nodes)


@dataclass(frozen=True)
class LayerGraph:
    """An ONNX model with what is asked of it here. The model is not changed."""

    model: onnx.ModelProto = field(repr=False)
    carried: frozenset[str] = frozenset()
    """Outputs that only feed another graph."""

    @cached_property
    def weights(self) -> Mapping[str, onnx.TensorProto]:
        """Initializers by name."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @cached_property
    def consumers(self) -> Mapping[str, list[tuple[onnx.NodeProto, int]]]:
        """Tensor -> nodes that read it, each with which of its inputs that is."""
        found: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        for node in self.model.graph.node:
            for index, name in enumerate(node.input):
                found.setdefault(name, []).append((node, index))
        return found

    @cached_property
    def layers(self) -> Mapping[str, Layer]:
        """Name -> layer, in the order of the graph."""
        nodes: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            if self._has_weights(node):
                nodes.setdefault(node.input[1], []).append(node)
        return {
            weight.removesuffix(".weight"): Layer(weight.removesuffix(".weight"), weight, _CHANNEL_AXES[uses[0].op_type], tuple(uses))
            for weight, uses in nodes.items()
        }

    def _has_weights(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in _CHANNEL_AXES or node.input[1] not in self.weights:
            return False
        if node.op_type == "MatMul":
            # Of a stack of matrices no axis counts the output channels alone; a vector has none.
            return len(self.weights[node.input[1]].dims) == 2
        return node.op_type != "Gemm" or any(entry.name == "transB" and entry.i == 1 for entry in node.attribute)

    @cached_property
    def last_layers(self) -> frozenset[str]:
        """Layers whose output becomes a probability, a box, an order, a place to sample at or a result without another layer between."""
        of_node = {id(node): layer.name for layer in self.layers.values() for node in layer.nodes}
        return frozenset(layer.name for layer in self.layers.values() for output in layer.outputs if any(self._ends(output, of_node)))

    def _ends(self, tensor: str, of_node: Mapping[int, str]) -> Iterator[bool]:
        results = {output.name for output in self.model.graph.output} - self.carried
        waiting, seen = [tensor], set()
        while waiting:
            name = waiting.pop()
            yield name in results
            for node, index in self.consumers.get(name, ()):
                yield node.op_type in _ENDS or (node.op_type == "GridSample" and index == 1)
                if id(node) not in of_node and node.output[0] not in seen:
                    seen.add(node.output[0])
                    waiting.extend(node.output)

    def array(self, weight: str) -> np.ndarray:
        """The values of an initializer."""
        return numpy_helper.to_array(self.weights[weight])
