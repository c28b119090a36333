"""One torch module -> one ONNX file with named, static inputs and outputs."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import ExportError

OPSET = 18
"""First with the reductions that both CPU backends and TensorRT read; every operator used is in the standard domain."""


def to_onnx(module: nn.Module, image: Tensor, input_name: str, output_names: Sequence[str], file: Path, precision: str = "fp32") -> Graph:
    """Trace ``module(image)`` into ``file`` and describe it.

    Args:
        module: in evaluation mode; takes one tensor, returns a tuple of as many tensors as there are output names.
        image: an example input; its shape and dtype become the graph's.

    Raises:
        ExportError: the module uses something that standard ONNX cannot express.
    """
    with torch.no_grad():
        outputs = module(image)
    try:
        with _quiet():
            torch.onnx.export(
                module,
                (image,),
                str(file),
                input_names=[input_name],
                output_names=list(output_names),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ExportError(f"the network cannot be expressed in standard ONNX operators: {error}") from error
    return Graph(
        files={precision: file.name},
        inputs=(_spec(input_name, image),),
        outputs=tuple(_spec(name, tensor) for name, tensor in zip(output_names, outputs, strict=True)),
    )


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
