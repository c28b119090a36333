"""Torch modules -> ONNX files with named, static inputs and outputs."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.bundle import Graph, InputSpec, TensorSpec
from edgeseg.errors import ExportError
from edgeseg.families.base import IMAGE

from .nets.rcnn.operators import translations
from .publish import GRAPH_SUFFIX
from .recipes.base import GraphModule

OPSET = 18
"""First with the reductions that both CPU backends and TensorRT read; every operator used is in the standard domain."""


def graphs_to_onnx(modules: Mapping[str, GraphModule], spec: InputSpec, folder: Path, precision: str) -> dict[str, Graph]:
    """Write every graph of a recipe into ``folder``, as its name with `GRAPH_SUFFIX`, and describe them."""
    examples = {IMAGE: torch.zeros(1, *spec.size, 3, dtype=getattr(torch, spec.dtype))}
    graphs = {}
    for name, module in modules.items():
        inputs = {entry: examples[entry] for entry in module.inputs}
        graph = to_onnx(module.module, inputs, module.outputs, folder / f"{name}{GRAPH_SUFFIX}", precision)
        graphs[name] = replace(graph, carry=module.carry)
        outputs = {output.name: output for output in graph.outputs}
        for target, source in module.carry.items():
            examples[target] = torch.zeros(outputs[source].shape, dtype=getattr(torch, outputs[source].dtype))
    return graphs


def to_onnx(module: nn.Module, inputs: Mapping[str, Tensor], output_names: Sequence[str], file: Path, precision: str = "fp32") -> Graph:
    """Trace ``module`` into ``file`` and describe it.

    Args:
        module: in evaluation mode; takes the inputs in order, returns a tuple of as many tensors as there are output names.
        inputs: input name -> an example; its shape and dtype become the graph's.

    Raises:
        ExportError: the module uses something that standard ONNX cannot express.
    """
    with torch.no_grad():
        outputs = module(*inputs.values())
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=list(output_names),
                opset_version=OPSET,
                dynamo=True,
                custom_translation_table=translations(),
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ExportError(f"the network cannot be expressed in standard ONNX operators: {error}") from error
    file.write_bytes(_without_notes(program.model_proto).SerializeToString(deterministic=True))
    return Graph(
        files={precision: file.name},
        inputs=tuple(_spec(name, tensor) for name, tensor in inputs.items()),
        outputs=tuple(_spec(name, tensor) for name, tensor in zip(output_names, outputs, strict=True)),
    )


def _without_notes(model: Any) -> Any:
    """The same graph without what the tracer noted of the source code, such as the paths of its files on this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def _spec(name: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports on torchvision operators and its own deprecations; none of it concerns the user."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
