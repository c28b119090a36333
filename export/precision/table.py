"""The one table of precisions: those that are written into a graph, and those that a backend makes of a float32 graph by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import onnx

from .calibration import Range
from .half import LARGEST, to_half
from .int8 import to_int8
from .noise import HalfRounding, Int8Rounding, Rounding

Ranges = Mapping[str, Range]


@dataclass(frozen=True)
class Written:
    """A precision that lies in a graph of its own."""

    convert: Callable[[onnx.ModelProto, Ranges, Collection[str]], onnx.ModelProto]
    """Float32 graph, ranges of the activations, layers that stay float -> the graph in this precision."""
    rounding: Callable[[Ranges], Rounding]
    """What it does to numbers."""
    limit: float = float("inf")
    """Layers that read or give larger numbers must stay float."""


def _spans(ranges: Ranges) -> dict[str, float]:
    """What int8 spans: the mean over pictures, which a single odd picture does not widen for all."""
    return {name: found.mean for name, found in ranges.items()}


_HALF_MARGIN = 4
"""Other pictures may hold larger numbers than those that were looked at."""

WRITTEN = {
    "fp16": Written(lambda model, _, kept: to_half(model, kept), lambda _: HalfRounding(), LARGEST / _HALF_MARGIN),
    "int8": Written(lambda model, ranges, kept: to_int8(model, _spans(ranges), kept), lambda ranges: Int8Rounding(_spans(ranges))),
}
OWN = {"bf16": "openvino"}
"""A backend's own precision, which is measured and needs no file -> the backend."""
