"""Tiny ONNX graphs, each with the numpy function that says what it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.bundle import Graph, TensorSpec
from edgeseg.types import AnyArray, F32Array

Tensors = Mapping[str, AnyArray]
STORED = Path(__file__).resolve().parent.parent / "data" / "contract"
"""The same graphs as files, for machines without the onnx package."""


@dataclass(frozen=True)
class TinyGraph:
    """One graph and its reference."""

    name: str
    text: str
    """``(inputs) => (outputs) { nodes }`` in ONNX's text form."""
    reference: Callable[[Tensors], Tensors]
    feeds: Callable[[np.random.Generator], Tensors] = field(repr=False)

    def write(self, folder: Path) -> tuple[Path, Graph]:
        """The file, and what a manifest would say of it."""
        import onnx

        model = self.model()
        onnx.checker.check_model(model, full_check=True)
        file = folder / f"{self.name}.onnx"
        onnx.save(model, file)
        return file, Graph({"fp32": file.name}, _specs(model.graph.input), _specs(model.graph.output))

    def model(self) -> Any:
        """The ``onnx.ModelProto`` of the text."""
        import onnx.parser

        return onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> {self.name} {self.text}')

    def stored(self) -> tuple[Path, Graph]:
        """As `write`, from the checkout and without the onnx package."""
        feeds = self.feeds(np.random.default_rng(0))
        sides = (tuple(TensorSpec(n, a.dtype.name, np.shape(a)) for n, a in side.items()) for side in (feeds, self.reference(feeds)))
        return STORED / f"{self.name}.onnx", Graph({"fp32": f"{self.name}.onnx"}, *sides)


def _specs(values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    from onnx import helper

    types = [value.type.tensor_type for value in values]
    dtypes = [helper.tensor_dtype_to_np_dtype(kind.elem_type).name for kind in types]
    shapes = [tuple(side.dim_value for side in kind.shape.dim) for kind in types]
    return tuple(TensorSpec(value.name, dtype, shape) for value, dtype, shape in zip(values, dtypes, shapes, strict=True))


def _normal(random: np.random.Generator, *shape: int) -> F32Array:
    return random.standard_normal(shape).astype(np.float32)


def _grid_sample(feeds: Tensors) -> Tensors:
    """Bilinear with zeros outside, align_corners=False, for points inside the outermost cell centres."""
    height, width = feeds["x"].shape[2:]
    column = ((feeds["grid"][0, ..., 0] + 1) * width - 1) / 2
    row = ((feeds["grid"][0, ..., 1] + 1) * height - 1) / 2
    return {"y": np.stack([cv2.remap(plane, column, row, cv2.INTER_LINEAR) for plane in feeds["x"][0]])[None]}


def _on_cells(random: np.random.Generator) -> Tensors:
    # cv2.remap knows 32 steps between two pixels: points on such steps are exact.
    steps = random.integers(0, [4 * 32 + 1, 3 * 32 + 1], (1, 2, 6, 2)) / 32
    return {"x": _normal(random, 1, 3, 4, 5), "grid": ((2 * steps + 1) / [5, 4] - 1).astype(np.float32)}


def _best(feeds: Tensors) -> Tensors:
    order = np.argsort(-feeds["scores"])[:3]
    return {"best": feeds["scores"][order], "index": order, "chosen": feeds["boxes"][order]}


def _largest(feeds: Tensors) -> Tensors:
    return {"label": feeds["x"].argmax(axis=1), "over": feeds["x"] > 0.5, "top": feeds["x"].max()}


GRAPHS = (
    TinyGraph(
        "difference",
        "(float[2,3] a, float[2,3] b) => (float[2,3] y) { y = Sub(a, b) }",
        lambda feeds: {"y": feeds["a"] - feeds["b"]},
        lambda random: {"a": _normal(random, 2, 3), "b": _normal(random, 2, 3)},
    ),
    TinyGraph(
        "layer",
        "(float[4,16] x, float[16,8] w) => (float[4,8] y) { z = MatMul(x, w)  y = Relu(z) }",
        lambda feeds: {"y": np.maximum(feeds["x"] @ feeds["w"], 0)},
        lambda random: {"x": _normal(random, 4, 16), "w": _normal(random, 16, 8)},
    ),
    TinyGraph(
        "pixels",
        """(uint8[1,4,6,3] image) => (float[1,3,4,6] y) {
            level = Cast<to = 1>(image)  scale = Constant<value_float = 255.0>()  unit = Div(level, scale)
            y = Transpose<perm = [0, 3, 1, 2]>(unit)
        }""",
        lambda feeds: {"y": (feeds["image"].astype(np.float32) / np.float32(255)).transpose(0, 3, 1, 2)},
        lambda random: {"image": random.integers(0, 256, (1, 4, 6, 3), dtype=np.uint8)},
    ),
    TinyGraph(
        "ranking",
        """(float[10] scores, float[10,4] boxes) => (float[3] best, int64[3] index, float[3,4] chosen) {
            k = Constant<value_ints = [3]>()  best, index = TopK(scores, k)  chosen = Gather(boxes, index)
        }""",
        _best,
        lambda random: {"scores": _normal(random, 10), "boxes": _normal(random, 10, 4)},
    ),
    TinyGraph(
        "sampling",
        '(float[1,3,4,5] x, float[1,2,6,2] grid) => (float[1,3,2,6] y) { y = GridSample<mode = "bilinear">(x, grid) }',
        _grid_sample,
        _on_cells,
    ),
    TinyGraph(
        "dtypes",
        """(float[4,5] x) => (int64[4] label, bool[4,5] over, float top) {
            label = ArgMax<axis = 1, keepdims = 0>(x)  half = Constant<value_float = 0.5>()  over = Greater(x, half)
            top = ReduceMax<keepdims = 0>(x)
        }""",
        _largest,
        lambda random: {"x": _normal(random, 4, 5)},
    ),
    TinyGraph(
        "unchanged",
        "(int64[3] count, float[2] x) => (int64[3] same_count, float[2] same_x) { same_count = Identity(count)  same_x = Identity(x) }",
        lambda feeds: {"same_count": feeds["count"], "same_x": feeds["x"]},
        # Within 32 bits: OpenVINO's CPU plugin computes int64 in int32.
        lambda random: {"count": random.integers(-(2**31), 2**31, 3), "x": _normal(random, 2)},
    ),
)
