"""Which layers a reduced precision hurts most: the noise that it adds to a layer's output, relative to that output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto

from edgeseg.bundle import Graph
from edgeseg.types import AnyArray

from .calibration import Measuring
from .half import half
from .int8 import quantised_weight, scale_of
from .layers import Layer, LayerGraph


class Rounding(Protocol):
    """What a precision does to numbers."""

    def activation(self, tensor: str, measuring: Measuring) -> str:
        """Add nodes that round an activation, and return the rounded one."""
        ...

    def weight(self, values: AnyArray, channel_axis: int) -> AnyArray:
        """float32 weights, rounded."""
        ...


class Int8Rounding:
    """Symmetric int8, with the ranges of the activations."""

    def __init__(self, ranges: Mapping[str, float]) -> None:
        self._ranges = ranges

    def activation(self, tensor: str, measuring: Measuring) -> str:
        """See `Rounding`."""
        scale, zero = measuring.constant(scale_of(np.float32(self._ranges[tensor]))), measuring.constant(np.int8(0))
        return measuring.add("DequantizeLinear", measuring.add("QuantizeLinear", tensor, scale, zero), scale, zero)

    def weight(self, values: AnyArray, channel_axis: int) -> AnyArray:
        """See `Rounding`."""
        levels, scale = quantised_weight(values, channel_axis)
        shape = [-1 if axis == channel_axis else 1 for axis in range(values.ndim)]
        return levels * scale.reshape(shape)


class HalfRounding:
    """Half precision."""

    def activation(self, tensor: str, measuring: Measuring) -> str:
        """See `Rounding`."""
        return measuring.add("Cast", measuring.add("Cast", tensor, to=TensorProto.FLOAT16), to=TensorProto.FLOAT)

    def weight(self, values: AnyArray, channel_axis: int) -> AnyArray:  # noqa: ARG002  every channel alike
        """See `Rounding`."""
        return half(values).astype(np.float32)


def layer_noise(
    model: onnx.ModelProto, graph: Graph, folder: Path, feeds: Callable[[], Iterable[Mapping[str, AnyArray]]], rounding: Rounding
) -> dict[str, float]:
    """Layer -> mean square of the noise over that of the output, at worst over its uses and the feeds; the noisiest layer first.

    Every layer is computed twice inside the graph, once from exact inputs and weights and once from rounded ones, so that the noise of
    one does not count for the next.
    """
    measuring = Measuring(model)
    layers = LayerGraph(model)
    for layer in layers.layers.values():
        weight = measuring.constant(rounding.weight(layers.array(layer.weight), layer.channel_axis))
        for k in range(len(layer.nodes)):
            measuring.result(f"{layer.name} {k}", _noise(layer, k, weight, rounding, measuring))
    found: dict[str, float] = {}
    for name, noise in measuring.run(graph, folder, feeds()).items():
        layer_name = name.rpartition(" ")[0]
        # What cannot be told because numbers overflow is as bad as can be.
        worst = noise.largest if np.isfinite(noise.largest) else float("inf")
        found[layer_name] = max(found.get(layer_name, 0.0), worst)
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def _noise(layer: Layer, k: int, weight: str, rounding: Rounding, measuring: Measuring) -> str:
    node = onnx.NodeProto()
    node.CopyFrom(layer.nodes[k])
    node.input[0], node.input[1], node.output[0] = rounding.activation(layer.inputs[k], measuring), weight, f"noisy_{layer.outputs[k]}"
    node.name = f"noisy_{node.name}"
    measuring.model.graph.node.append(node)
    difference = measuring.add("Sub", node.output[0], layer.outputs[k])
    noise, signal = (measuring.add("ReduceMean", measuring.add("Mul", x, x), keepdims=0) for x in (difference, layer.outputs[k]))
    # A layer that gives nothing but 0 has no noise either.
    return measuring.add("Div", noise, measuring.add("Max", signal, measuring.constant(np.float32(1e-30))))
