"""Graphs in reduced precision, made as the exporter makes them but without pictures: what they compute is not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from edgeseg.bundle import Graph
from export.precision.half import to_half
from export.precision.int8 import to_int8
from export.precision.layers import LayerGraph
from tests.build_engines import Job, build_all

GENERATIONS = ("sm80", "sm86", "sm89", "sm120")
"""GPUs that every engine is built for, all in one."""
_LAYERS = ("Conv", "ConvTranspose")
_RANGE = 4.0


@dataclass(frozen=True)
class Reduced:
    """One graph in one precision, with what the exporter put into it."""

    precision: str
    file: Path
    quantize_nodes: int
    half_convolutions: int


def in_every_precision(file: Path, folder: Path) -> list[Reduced]:
    """A float32 graph as it is, in half and in int8, where the last layers stay float."""
    model = onnx.load(file)
    graph = LayerGraph(model)
    ranges = {name: _RANGE for layer in graph.layers.values() for name in layer.inputs}
    found = [_reduced("fp32", file, model)]
    for precision, made in (("fp16", to_half(model)), ("int8", to_int8(model, ranges, graph.last_layers))):
        target = folder / f"{file.stem}.{precision}.onnx"
        onnx.save(made, target)
        found.append(_reduced(precision, target, made))
    return found


def _reduced(precision: str, file: Path, model: onnx.ModelProto) -> Reduced:
    nodes = model.graph.node
    halves = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    return Reduced(
        precision,
        file,
        sum(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in nodes),
        sum(node.op_type in _LAYERS and node.input[1] in halves for node in nodes),
    )


def require_all_built(file: Path, graph: Graph, folder: Path) -> None:
    """Build a float32 graph in every precision for every generation; the parsed networks must hold what the files do."""
    made = in_every_precision(file, folder)
    for one, outcome in zip(made, build_all([Job(one.file, graph, one.precision, GENERATIONS) for one in made]), strict=True):
        assert outcome.error == "", one
        assert outcome.summary["quantize_layers"] == one.quantize_nodes, one
        assert outcome.summary["half_convolutions"] == one.half_convolutions, one
        # The weights are in the engine, not left behind.
        assert outcome.plan_bytes > one.file.stat().st_size // 2
    assert (made[1].half_convolutions > 0, made[2].quantize_nodes > 0) == (True, True)
