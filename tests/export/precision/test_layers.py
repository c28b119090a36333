"""What counts as a layer of an ONNX graph, and which layers are the last before a result."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from export.precision.layers import LayerGraph
from tests.export.precision.graphs import model_of, random


def _last(model: onnx.ModelProto, *carried: str) -> set[str]:
    return set(LayerGraph(model, frozenset(carried)).last_layers)


@pytest.mark.parametrize(
    ("text", "shape", "axis"),
    [
        ("(float[1,3,8,8] x) => (float[1,5,8,8] y) { y = Conv<pads = [1,1,1,1]>(x, net__a__weight) }", (5, 3, 3, 3), 0),
        ("(float[1,4,8,8] x) => (float[1,6,8,8] y) { y = Conv<group = 2>(x, net__a__weight) }", (6, 2, 1, 1), 0),
        ("(float[1,3,8,8] x) => (float[1,5,16,16] y) { y = ConvTranspose<strides = [2,2]>(x, net__a__weight) }", (3, 5, 2, 2), 1),
        ("(float[2,3] x) => (float[2,5] y) { y = Gemm<transB = 1>(x, net__a__weight) }", (5, 3), 0),
        ("(float[2,3] x) => (float[2,5] y) { y = MatMul(x, net__a__weight) }", (3, 5), 1),
    ],
)
def test_the_axis_of_a_weight_that_counts_output_channels(text: str, shape: tuple[int, ...], axis: int) -> None:
    """A layer is named after its module, and its output has as many channels as that axis of its weight has entries: five, or six."""
    model = model_of(text, net__a__weight=random(*shape))

    (layer,) = LayerGraph(model).layers.values()

    assert (layer.name, layer.weight, layer.channel_axis) == ("net.a", "net.a.weight", axis)
    assert (layer.inputs, layer.outputs) == (("x",), ("y",))
    assert shape[layer.channel_axis] in (5, 6)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("(float[2,3] x, float[3,5] w) => (float[2,5] y) { y = MatMul(x, w) }", {}),
        ("(float[3,5] x) => (float[2,5] y) { y = MatMul(w, x) }", {"w": random(2, 3)}),
        ("(float[2,3] x) => (float[2] y) { y = MatMul(x, w) }", {"w": random(3)}),
        ("(float[4,2,3] x) => (float[4,2,5] y) { y = MatMul(x, w) }", {"w": random(4, 3, 5)}),
        ("(float[3,2] x) => (float[2,5] y) { y = Gemm<transA = 1>(x, w) }", {"w": random(3, 5)}),
        ("(float[2,3] x) => (float[2,3] y) { y = Mul(x, w) }", {"w": random(2, 3)}),
    ],
)
def test_what_is_no_layer(text: str, weights: dict[str, np.ndarray]) -> None:
    """Products of two activations, weights without an axis of output channels, and element-wise operators stay as they are."""
    assert LayerGraph(model_of(text, **weights)).layers == {}


SHARED_HEAD = """(float[1,3,8,8] a, float[1,3,4,4] b) => (float[1,6] y) {
    p = Conv(a, head__weight, head__bias)  q = Conv(b, head__weight, head__bias)
    r = ReduceMean<keepdims = 0>(p, axes)  s = ReduceMean<keepdims = 0>(q, axes)  y = Concat<axis = 1>(r, s)
}"""


def test_a_head_that_serves_several_levels_is_one_layer() -> None:
    """With all its inputs and outputs, in the order of the graph."""
    model = model_of(SHARED_HEAD, head__weight=random(3, 3, 1, 1), head__bias=random(3), axes=np.array([2, 3]))

    (layer,) = LayerGraph(model).layers.values()

    assert (layer.name, layer.inputs, layer.outputs) == ("head", ("a", "b"), ("p", "q"))
    assert [node.output[0] for node in layer.nodes] == ["p", "q"]


@pytest.mark.parametrize(
    ("end", "inputs", "outputs"),
    [
        ("y = Softmax(b)", "", "float[1,3,8,8] y"),
        ("c = Add(b, b)  y = Sigmoid(c)", "", "float[1,3,8,8] y"),
        ("y = Tanh(b)", "", "float[1,3,8,8] y"),
        ("y = Exp(b)", "", "float[1,3,8,8] y"),
        ("y = ArgMax<axis = 1>(b)", "", "int64[1,1,8,8] y"),
        ("c = Reshape(b, flat)  d, y = TopK(c, k)", "", "int64[2] y"),
        ("y = Relu(b)", "", "float[1,3,8,8] y"),
        ("c = Transpose<perm = [0, 2, 3, 1]>(b)  d = Slice(c, zero, two, three)  y = GridSample(x, d)", "", "float[1,3,8,8] y"),
    ],
)
def test_the_last_layer_is_the_one_without_another_behind_it(end: str, inputs: str, outputs: str) -> None:
    """Whether a probability, a box, an order, a place to sample at or a result comes of it."""
    text = f"(float[1,3,8,8] x) => ({outputs}) {{ a = Conv(x, trunk__weight)  r = Relu(a)  b = Conv(r, head__weight)  {end} }}"
    helpers = {name: np.array([value]) for name, value in (("flat", -1), ("k", 2), ("zero", 0), ("two", 2), ("three", 3))}
    model = model_of(text, trunk__weight=random(3, 3, 1, 1), head__weight=random(3, 3, 1, 1), **helpers)

    assert _last(model) == {"head"}


def test_a_layer_whose_output_is_sampled_is_not_the_last() -> None:
    """Only what says where to sample is; a feature that is sampled goes on into the next layer."""
    text = """(float[1,2,8,8] x) => (float[1,3,8,8] y) {
        f = Conv(x, feature__weight)  g = Conv(x, flow__weight)  h = Transpose<perm = [0, 2, 3, 1]>(g)
        s = GridSample(f, h)  b = Conv(s, head__weight)  y = Softmax(b)
    }"""
    weights = {name: random(3 if name == "head__weight" else 2, 2, 1, 1) for name in ("feature__weight", "flow__weight", "head__weight")}

    assert _last(model_of(text, **weights)) == {"flow", "head"}


def test_what_only_feeds_another_graph_is_no_result() -> None:
    """A carried feature may be as coarse as any other feature; a result may not."""
    text = "(float[1,3,8,8] x) => (float[1,3,8,8] f, float[1,3,8,8] y) { f = Conv(x, trunk__weight)  y = Conv(f, head__weight) }"
    model = model_of(text, trunk__weight=random(3, 3, 1, 1), head__weight=random(3, 3, 1, 1))

    assert _last(model) == {"trunk", "head"}
    assert _last(model, "f") == {"head"}
