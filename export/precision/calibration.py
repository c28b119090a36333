"""The ranges of activations, from pictures that pass one at a time: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Range:
    """Of a number that was measured on several pictures."""

    largest: float
    mean: float


def activation_ranges(model: onnx.ModelProto, graph: Graph, folder: Path, feeds: Iterable[Mapping[str, AnyArray]]) -> dict[str, Range]:
    """The absolutely largest value in a picture, of everything that the layers of a graph read and give.

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
        largest = measuring.add("ReduceMax", measuring.add("Abs", name), keepdims=0)
        # ONNX Runtime's ReduceMax passes over NaN; the difference of a sum with itself is 0, or NaN where something is not finite.
        total = measuring.add("ReduceL1", name, keepdims=0)
        measuring.result(name, measuring.add("Add", largest, measuring.add("Sub", total, total)))
    ranges = measuring.run(graph, folder, feeds)
    if not np.isfinite([found.largest for found in ranges.values()]).all():
        raise ExportError("the network gives infinite values or NaN on the calibration pictures; it cannot be quantised")
    return ranges


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

    def run(self, graph: Graph, folder: Path, feeds: Iterable[Mapping[str, AnyArray]]) -> dict[str, Range]:
        """Every result over all feeds.

        Raises:
            ExportError: there is no feed.
        """
        file = folder / "measuring.onnx"
        file.write_bytes(self.model.SerializeToString())
        outputs = tuple(TensorSpec(f"{_PREFIX}{k}", "float32", ()) for k in range(len(self._names)))
        largest, total, runs = np.zeros(len(outputs)), np.zeros(len(outputs)), 0
        try:
            with BACKENDS[BACKEND].open(file, replace(graph, outputs=outputs, carry={}), "fp32", None) as session:
                for given in feeds:
                    results = session.run(given)
                    values = np.array([float(results[output.name]) for output in outputs])
                    # maximum, not fmax: NaN must stay.
                    largest, total, runs = np.maximum(largest, values), total + values, runs + 1
        finally:
            file.unlink()
        if not runs:
            raise ExportError("there is no picture to calibrate on. Give some with --calibration.")
        return {name: Range(*both) for name, *both in zip(self._names, largest.tolist(), (total / runs).tolist(), strict=True)}
