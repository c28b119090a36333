"""Small graphs in ONNX's text form, and what runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import helper, numpy_helper

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.types import AnyArray, F32Array


def model_of(text: str, **weights: AnyArray) -> onnx.ModelProto:
    """``(inputs) => (outputs) { nodes }`` with weights as initializers; a double underscore in a name stands for a dot."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 20]> graph {text}')
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name.replace("__", ".")))
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = name.replace("__", ".")
    onnx.checker.check_model(model, full_check=True)
    return model


def random(*shape: int, seed: int = 0) -> F32Array:
    """float32 of a normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph_of(model: onnx.ModelProto) -> Graph:
    """What a manifest would say of it."""
    return Graph({"fp32": "graph.onnx"}, *(tuple(map(_spec, side)) for side in (model.graph.input, model.graph.output)))


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    return TensorSpec(value.name, helper.tensor_dtype_to_np_dtype(kind.elem_type).name, tuple(side.dim_value for side in kind.shape.dim))


def run(model: onnx.ModelProto, folder: Path, feeds: Mapping[str, AnyArray], backend: str = "onnxruntime") -> dict[str, AnyArray]:
    """What a backend makes of it, after the checker has passed it."""
    onnx.checker.check_model(model, full_check=True)
    file = folder / "graph.onnx"
    onnx.save(model, file)
    with BACKENDS[backend].open(file, graph_of(model), "fp32", 1) as session:
        return session.run(feeds)


def nodes_of(model: onnx.ModelProto, operator: str) -> list[onnx.NodeProto]:
    """All nodes of one kind."""
    return [node for node in model.graph.node if node.op_type == operator]


def maker_of(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    """The node that gives a tensor."""
    return next(node for node in model.graph.node if tensor in node.output)


def readers_of(model: onnx.ModelProto, tensor: str) -> list[onnx.NodeProto]:
    """The nodes that read a tensor."""
    return [node for node in model.graph.node if tensor in node.input]


def arrays_of(model: onnx.ModelProto) -> dict[str, AnyArray]:
    """Initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def attribute(node: onnx.NodeProto, name: str) -> object:
    """The value of a node's attribute, None where it has none of that name."""
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), None)
