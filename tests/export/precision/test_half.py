"""fp16: which parts of a graph become half, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgeseg.backends import BACKENDS
from edgeseg.evaluation.agreement import Agreement
from edgeseg.families import family
from edgeseg.types import AnyArray, Instances
from export.precision.half import LARGEST, as_computed, to_half
from export.precision.layers import LayerGraph
from export.recipes.panoptic import PanopticRecipe
from tests.export.conftest import Traced
from tests.export.nets.facts import DATA
from tests.export.precision.graphs import arrays_of, attribute, maker_of, model_of, nodes_of, random, readers_of, run
from tests.export.tiny import VARIANTS, each

Trace = Callable[[str], Traced]
NET = """(float[1,3,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] f) {
    a = Conv(x, one__weight, one__bias)  r = Relu(a)
    s = MaxPool<kernel_shape = [2,2], strides = [2,2]>(r)
    t = Conv(s, two__weight)
    u = Resize<mode = "nearest">(t, , scales)
    v = Add(r, u)  w = Add(v, shift)
    c = Clip(w, low, high)
    p = Pad(c, pads, zero)
    b = Conv(p, three__weight)
    f = Relu(r)
    y = Softmax<axis = 1>(b)
}"""
WEIGHTS = {
    "one__weight": random(4, 3, 1, 1),
    "one__bias": random(4, seed=1),
    "two__weight": random(4, 4, 1, 1, seed=2),
    "three__weight": random(4, 4, 3, 3, seed=3),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "shift": random(1, 4, 1, 1, seed=4),
    "low": np.float32(-1.5),
    "high": np.float32(6),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "zero": np.float32(0),
}
X = random(1, 3, 8, 8, seed=5)
Round = Callable[[AnyArray], AnyArray]


def _half(values: AnyArray) -> AnyArray:
    return np.asarray(values, np.float16).astype(np.float32)


def _conv(x: AnyArray, weight: AnyArray, rounded: Round, bias: AnyArray | None = None) -> AnyArray:
    x, weight = rounded(x), rounded(weight)
    size = weight.shape[2]
    side = x.shape[2] - size + 1
    parts = [np.einsum("oc,chw->ohw", weight[:, :, i, j], x[0, :, i : i + side, j : j + side]) for i, j in np.ndindex(size, size)]
    return rounded(np.sum(parts, axis=0) + rounded(np.zeros(4) if bias is None else bias)[:, None, None])[None]


def _expected(rounded: Round) -> dict[str, AnyArray]:
    """The net in numpy, with everything rounded that is to be half."""
    w = WEIGHTS
    r = np.maximum(_conv(X, w["one__weight"], rounded, w["one__bias"]), 0)
    s = r.reshape(1, 4, 4, 2, 4, 2).max(axis=(3, 5))
    u = _conv(s, w["two__weight"], rounded).repeat(2, axis=2).repeat(2, axis=3)
    c = np.clip(rounded(rounded(r + u) + rounded(w["shift"])), w["low"], w["high"])
    b = _conv(np.pad(c, [(0, 0), (0, 0), (1, 1), (1, 1)]), w["three__weight"], rounded)
    exponential = np.exp(b - b.max(axis=1, keepdims=True))
    return {"y": exponential / exponential.sum(axis=1, keepdims=True), "f": r}


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Tensor -> element type, as the checker's inference finds it."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    entries = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    return {entry.name: entry.type.tensor_type.elem_type for entry in entries}


def _computes_in_half(model: onnx.ModelProto) -> set[str]:
    """Operators of which a node gives half, casts left out."""
    types = _types(model)
    return {node.op_type for node in model.graph.node for name in node.output if types[name] == TensorProto.FLOAT16} - {"Cast"}


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_result_is_that_of_numpy_with_half_precision(tmp_path: Path, backend: str) -> None:
    """As near as half precision is; inputs and outputs are float32 as before."""
    model = to_half(model_of(NET, **WEIGHTS))

    found = run(model, tmp_path, {"x": X}, backend)

    half = _expected(_half)
    for name in ("y", "f"):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], half[name], rtol=2e-3, atol=5e-3)


def test_what_half_precision_computes_can_be_computed_in_float(tmp_path: Path) -> None:
    """With every rounding, which ONNX Runtime's own run of the half graph leaves out on a CPU."""
    found = run(as_computed(to_half(model_of(NET, **WEIGHTS))), tmp_path, {"x": X})

    half, exact = _expected(_half), _expected(np.asarray)
    np.testing.assert_allclose(found["y"], half["y"], rtol=2e-3, atol=2e-3)
    assert np.mean(found["f"] != half["f"]) < 0.05
    assert np.mean(found["f"] != exact["f"]) > 0.4


def test_what_overflows_in_half_precision_is_seen(tmp_path: Path) -> None:
    """Between two layers, where the float result would be small again."""
    text = "(float[1,2,4,4] x) => (float[1,2,4,4] y) { a = Conv(x, a__weight)  y = Conv(a, b__weight) }"
    model = model_of(text, a__weight=np.full((2, 2, 1, 1), 6e4, np.float32), b__weight=np.full((2, 2, 1, 1), 1e-4, np.float32))
    x = np.ones((1, 2, 4, 4), np.float32)

    assert run(model, tmp_path, {"x": x})["y"].max() < 30
    assert np.isinf(run(as_computed(to_half(model)), tmp_path, {"x": x})["y"]).all()
    assert run(as_computed(to_half(model, {"a"})), tmp_path, {"x": x / 2})["y"].max() < 30


def test_the_float_graph_is_the_one_of_numpy(tmp_path: Path) -> None:
    """The reference of this file computes the net, without any rounding, as the float graph does."""
    found = run(model_of(NET, **WEIGHTS), tmp_path, {"x": X})

    for name, values in _expected(np.asarray).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def test_what_lies_between_layers_is_half_and_the_rest_is_float() -> None:
    """One cast into the part, one out of it for each tensor that is read outside; the original is not touched."""
    model = model_of(NET, **WEIGHTS)
    before = model.SerializeToString(deterministic=True)

    converted = to_half(model)

    assert _computes_in_half(converted) == {"Conv", "Relu", "MaxPool", "Resize", "Add", "Clip", "Pad"}
    types = _types(converted)
    assert {types[name] for name in ("x", "y", "f", "b", "r")} == {TensorProto.FLOAT}
    assert maker_of(converted, "y").op_type == "Softmax"
    casts = {(node.input[0], attribute(node, "to")) for node in nodes_of(converted, "Cast")}
    assert casts == {("x", TensorProto.FLOAT16), ("b_half", TensorProto.FLOAT), ("r_half", TensorProto.FLOAT)}
    assert (converted.graph.input, converted.graph.output) == (model.graph.input, model.graph.output)
    assert model.SerializeToString(deterministic=True) == before


def test_initializers_are_half_where_a_half_node_reads_them() -> None:
    """Scales of Resize and padding sizes keep their types, and no float copy of a weight stays in the file."""
    arrays = arrays_of(to_half(model_of(NET, **WEIGHTS)))

    assert arrays["scales"].dtype == np.float32
    assert arrays["pads"].dtype == np.int64
    halves = {name for name, values in arrays.items() if values.dtype == np.float16}
    names = {"one.weight", "one.bias", "two.weight", "three.weight", "shift", "low", "high", "zero"}
    assert halves == {f"{name}_half" for name in names}
    assert arrays.keys() == halves | {"scales", "pads"}


def test_an_initializer_that_both_kinds_of_node_read_exists_twice(tmp_path: Path) -> None:
    """And each reads its own."""
    text = "(float[1,2,4,4] x) => (float[1,2,4,4] y) { a = Conv(x, a__weight)  b = Add(a, c)  d = Conv(b, b__weight)  y = Sub(d, c) }"
    model = to_half(model_of(text, a__weight=random(2, 2, 1, 1), b__weight=random(2, 2, 1, 1), c=np.float32([[[[0.1]]]])))

    assert {name: values.dtype for name, values in arrays_of(model).items() if name.startswith("c")} == {"c": "f4", "c_half": "f2"}
    assert "c" in maker_of(model, "y").input
    run(model, tmp_path, {"x": random(1, 2, 4, 4)})


@pytest.mark.parametrize(("kept", "casts"), [({"one"}, 4), ({"two"}, 4), ({"three"}, 3), ({"one", "two", "three"}, 0)])
def test_layers_that_are_to_stay_float_do(tmp_path: Path, kept: set[str], casts: int) -> None:
    """With float weights and inputs; the others are half as before, and the result is as near."""
    model = to_half(model_of(NET, **WEIGHTS), kept)

    arrays = arrays_of(model)
    for name in ("one", "two", "three"):
        assert (f"{name}.weight" in arrays, f"{name}.weight_half" in arrays) == (name in kept, name not in kept)
    found = run(model, tmp_path, {"x": X})
    assert len(nodes_of(model, "Cast")) == casts
    np.testing.assert_allclose(found["y"], _expected(np.asarray)["y"], rtol=5e-3, atol=5e-3)


def test_everything_in_float_is_the_graph_itself(tmp_path: Path) -> None:
    """Bit for bit."""
    model = model_of(NET, **WEIGHTS)

    kept = to_half(model, {"one", "two", "three"})

    for name, values in run(model, tmp_path, {"x": X}).items():
        np.testing.assert_array_equal(run(kept, tmp_path, {"x": X})[name], values)


@pytest.mark.parametrize(
    ("end", "operator"),
    [
        ("y = Softmax(b)", "Softmax"),
        ("y = Sigmoid(b)", "Sigmoid"),
        ("c = Exp(b)  y = Conv(c, b__weight)", "Exp"),
        ("c = Mul(b, b)  y = Conv(c, b__weight)", "Mul"),
        ("c = Div(b, b)  y = Conv(c, b__weight)", "Div"),
        ("c = Transpose<perm = [0, 2, 3, 1]>(b)  y = GridSample(x, c)", "GridSample"),
    ],
)
def test_what_decodes_stays_float(tmp_path: Path, end: str, operator: str) -> None:
    """Probabilities, boxes, overlaps and places to sample at need more than half has; also between two layers."""
    text = f"(float[1,2,4,4] x) => (float[1,2,4,4] y) {{ b = Conv(x, a__weight)  {end} }}"
    model = to_half(model_of(text, a__weight=random(2, 2, 1, 1), b__weight=random(2, 2, 1, 1)))

    assert operator not in _computes_in_half(model)
    assert "Conv" in _computes_in_half(model)
    assert all(_types(model)[name] == TensorProto.FLOAT for name in nodes_of(model, operator)[0].input)
    run(model, tmp_path, {"x": random(1, 2, 4, 4)})


def test_an_operator_that_no_layer_follows_stays_float() -> None:
    """Half would only round its result."""
    text = "(float[1,2,4,4] x) => (float[1,2,4,4] y) { b = Conv(x, a__weight)  c = Relu(b)  y = Softmax(c) }"

    model = to_half(model_of(text, a__weight=random(2, 2, 1, 1)))

    assert _computes_in_half(model) == {"Conv"}


def test_weights_beyond_half_precision_become_its_largest_number(tmp_path: Path) -> None:
    """Not infinity, of which NaN would come."""
    weight = np.float32([1e6, -1e6, 65504, 0.5]).reshape(2, 2, 1, 1)
    model = to_half(model_of("(float[1,2,4,4] x) => (float[1,2,4,4] y) { y = Conv(x, a__weight) }", a__weight=weight))

    assert arrays_of(model)["a.weight_half"].ravel().tolist() == [LARGEST, -LARGEST, LARGEST, 0.5]
    assert np.isfinite(run(model, tmp_path, {"x": random(1, 2, 4, 4) / 10})["y"]).all()


def test_a_shared_head_is_half_on_all_levels() -> None:
    """With one half weight."""
    text = "(float[1,2,4,4] x, float[1,2,2,2] z) => (float[1,2,4,4] y, float[1,2,2,2] w) { y = Conv(x, a__weight)  w = Conv(z, a__weight) }"

    model = to_half(model_of(text, a__weight=random(2, 2, 1, 1)))

    assert list(arrays_of(model)) == ["a.weight_half"]
    assert len(readers_of(model, "a.weight_half")) == 2


_FORMS = [("half", "onnxruntime"), ("half", "openvino")]
_DETECTORS = [name for name, (recipe, _, _) in VARIANTS.items() if not isinstance(recipe, PanopticRecipe)]
"""The panoptic head chooses between nearly equal logits of an untrained net: what it finds in half tells nothing of the graph."""
_COMPUTED = ("plain", "plus", "warp", "rcnn", "rcnn_v2")


@pytest.mark.parametrize(
    ("variant", "form", "backend"),
    [*(one for form in _FORMS for one in each(_DETECTORS, *form)), *each(_COMPUTED, "computed", "onnxruntime")],
)
def test_tiny_nets_find_the_same_in_half(tiny_graph: Trace, tmp_path: Path, variant: str, form: str, backend: str) -> None:
    """Every family's graphs pass the checker with the same inputs and outputs, run on both backends and find what float32 finds."""
    traced = tiny_graph(variant)
    float_model = onnx.load(traced.file)
    model = to_half(float_model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model if form == "half" else as_computed(model), tmp_path / f"{form}.onnx")

    agreement = Agreement(0.05)
    for feeds in traced.feeds([cv2.imread(str(DATA / "coffee.png"))]):
        agreement.add(*(_found(traced, file, feeds, backend) for file in (traced.file, tmp_path / f"{form}.onnx")))

    assert (model.graph.input, model.graph.output) == (float_model.graph.input, float_model.graph.output)
    assert _computes_in_half(model) & {"Conv", "Gemm", "MatMul"}
    assert not _computes_in_half(model) & {"Softmax", "Sigmoid", "Tanh", "Exp", "TopK", "GridSample", "Div", "Mul", "Sub", "Max", "Min"}
    weights = {layer.weight for layer in LayerGraph(float_model).layers.values()}
    assert not weights & {tensor.name for tensor in model.graph.initializer}
    assert agreement.instances > 5
    # With all its roundings half precision chooses between proposals of an untrained net, many of which are nearly equal.
    assert agreement.lost + agreement.extra <= max(3 if form == "computed" else 1, agreement.instances // 20)
    assert agreement.mean_mask_iou > 0.98
    assert agreement.mean_score_error < 5e-3


def _found(traced: Traced, file: Path, feeds: dict[str, AnyArray], backend: str) -> Instances:
    with BACKENDS[backend].open(file, traced.graph, "fp32", 1) as session:
        found = (
            family(traced.family)
            .configured(traced.bundle())
            .decode(session.run(feeds), traced.input.place(traced.input.size), 0.025)
            .instances
        )
    assert found is not None
    return found
