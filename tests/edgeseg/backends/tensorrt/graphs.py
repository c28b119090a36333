"""Tiny ONNX graphs that TensorRT builds, and such that it must refuse."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
from onnx import helper

from edgeseg.bundle import Graph, TensorSpec

CONV = "(float[1,3,8,8] x, float[4,3,3,3] w) => (float[1,4,6,6] y)"
QUANTIZED = """scale = Constant<value_float = 0.02>()  zero = Constant<value = int8 {0}>()
    qx = QuantizeLinear(x, scale, zero)  dx = DequantizeLinear(qx, scale, zero)  y = Conv(dx, w)"""

# Name -> text form, the precision it has.
GOOD = {
    "fp32": f"{CONV} {{ y = Conv(x, w) }}",
    "fp16": f"{CONV} {{ hx = Cast<to = 10>(x)  hw = Cast<to = 10>(w)  hy = Conv(hx, hw)  y = Cast<to = 1>(hy) }}",
    "int8": f"{CONV} {{ {QUANTIZED} }}",
}

# Text form, and what the error must say.
BAD = {
    "nms": (
        """(float[1,100,4] b, float[1,1,100] s) => (int64[n,3] y) {
            m = Constant<value_ints = [5]>()  t = Constant<value_float = 0.5>()  y = NonMaxSuppression(b, s, m, t, t)
        }""",
        r"node 'node_of_y\w*' \(NonMaxSuppression\): the graph was exported for CPUs.* --target tensorrt",
    ),
    "non_zero": (
        "(float[4,5] x) => (int64[2,n] y) { y = NonZero(x) }",
        r"node number 0 \(NonZero\): the graph was exported for CPUs.* --target tensorrt",
    ),
    "roi_align": (
        """(float[1,3,16,16] x, float[2,4] r, int64[2] i) => (float[2,3,7,7] y) {
            y = RoiAlign<output_height = 7, output_width = 7, sampling_ratio = 2>(x, r, i)
        }""",
        r"node number 0 \(RoiAlign\): the graph was exported for CPUs.* --target tensorrt",
    ),
    "top_k": (
        "(float[9000] x) => (float[4000] y, int64[4000] i) { k = Constant<value_ints = [4000]>()  y, i = TopK(x, k) }",
        r"node 'node_of_y' \(TopK\): it takes more than the 3840 best.* --proposals",
    ),
    "unknown": ("(float[4] x) => (float[4] y) { y = Coffee(x) }", r"node number 0 \(Coffee\): the operator Coffee is not supported\. "),
    "unsupported": (
        "(float[4] x, bool[4] c) => (float[n] y) { y = Compress(x, c) }",
        r"node number 0 \(Compress\): the operator Compress is not supported\. Export the model again without it, or .*onnxruntime",
    ),
    "half_supported": (
        '(float[4] x, int64[1,1] i, float[1] u) => (float[4] y) { y = ScatterND<reduction = "add">(x, i, u) }',
        r"\(ScatterND\): the operator ScatterND is not supported as used here \(ScatterND with reduction is not supported\)",
    ),
    "mixed": (
        "(float[4] x) => (float[4] y) { h = Cast<to = 10>(x)  y = Add(h, x) }",
        r"node number 1 \(Add\): its inputs have different dtypes",
    ),
    "dynamic": ("(float[n,4] x) => (float[n,4] y) { y = Relu(x) }", r"its inputs have no fixed size"),
    "asymmetric": (
        f"{CONV} {{ {QUANTIZED.replace('{0}', '{3}')} }}",
        r"TensorRT takes symmetric int8 alone\. Export the model again with --precision int8",
    ),
}


def write(folder: Path, name: str, text: str) -> tuple[Path, Graph]:
    """The file, and what a manifest would say of it; sides without a fixed size are said to be 1."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 19]> {name} {text}')
    file = folder / f"{name}.onnx"
    onnx.save(model, file)
    return file, Graph({name: file.name}, _specs(model.graph.input), _specs(model.graph.output))


def _specs(values: list[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    types = [value.type.tensor_type for value in values]
    dtypes = [helper.tensor_dtype_to_np_dtype(kind.elem_type).name for kind in types]
    shapes = [tuple(side.dim_value or 1 for side in kind.shape.dim) for kind in types]
    return tuple(TensorSpec(value.name, dtype, shape) for value, dtype, shape in zip(values, dtypes, shapes, strict=True))
