"""The ranges of activations, from pictures that pass one at a time: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import ExportError
from edgeseg.types import AnyArray

from .layers import LayerGraph

BACKEND = "onnxruntime"
_PREFIX = "measured_result_"


def activation_ranges(
    model: onnx.ModelProto, graph: Graph, folder: Path, feeds: Iterable[Mapping[str, AnyArray]]
) -> dict[str, float]:
    """Largest absolute value of everything that the layers of a graph read and give.

    Args:
        model: the float32 graph, with its weights inside.
        graph: what the manifest says of it.
        folder: for a file that is written and removed again.
        feeds: input name -> array, once for each run.

    Raises:
        ExportError: there is no picture, or a value is not finite.
    """
    layers = LayerGraph(model).layers.values()
    names = list(dict.fromkeys(name for layer in layers for name in (*layer.inputs, *layer.outputs)))
    measuring = Measuring(model)
    for name in names:
        size = measuring.add("Abs", name)
        measuring.result(name, measuring.add("ReduceMax", size, keepdims=0))
    largest = measuring.largest(graph, folder, feeds)
    if not np.isfinite(list(largest.values())).all():
        raise ExportError("the network gives infinite values or NaN on the calibration pictures; it cannot be quantised")
    return largest


class Measuring:
    """A copy of a graph whose only outputs are numbers that are measured on what is inside it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.model.graph.ClearField("output")
        self._names: list[str] = []

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Append a node and return its output."""
        output = f"measured_{len(self.model.graph.node)}"
        self.model.graph.node.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: AnyArray) -> str:
        """Append an initializer and return its name."""
        name = f"measuring_{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def result(self, name: str, tensor: str) -> None:
        """Measure the float32 scalar ``tensor`` under a name."""
        self.model.graph.node.append(helper.make_node("Identity", [tensor], [f"{_PREFIX}{len(self._names)}"]))
        self.model.graph.output.append(helper.make_tensor_value_info(f"{_PREFIX}{len(self._names)}", TensorProto.FLOAT, ()))
        self._names.append(name)

    def largest(self, graph: Graph, folder: Path, feeds: Iterable[Mapping[str, AnyArray]]) -> dict[str, float]:
        """The largest of every result over all feeds.

        Raises:
            ExportError: there is no feed.
        """
        file = folder / "measuring.onnx"
        file.write_bytes(self.model.SerializeToString())
        outputs = tuple(TensorSpec(f"{_PREFIX}{k}", "float32", ()) for k in range(len(self._names)))
        found = np.full(len(outputs), -np.inf)
        try:
            with BACKENDS[BACKEND].open(file, replace(graph, outputs=outputs, carry={}), "fp32", None) as session:
                for given in feeds:
                    results = session.run(given)
                    # maximum, not fmax: NaN must stay.
                    found = np.maximum(found, [float(results[output.name]) for output in outputs])
        finally:
            file.unlink()
        if np.isneginf(found).any():
            raise ExportError("there is no picture to calibrate on. Give some with --calibration.")
        return dict(zip(self._names, found.tolist(), strict=True))

