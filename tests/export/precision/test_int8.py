"""int8: Q/DQ in the form that ONNX Runtime, OpenVINO and TensorRT turn into integer kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edgeseg.backends import BACKENDS
from edgeseg.types import AnyArray, F32Array
from export.measure import dense_outputs
from export.precision.calibration import activation_ranges
from export.precision.int8 import quantised_weight, scale_of, to_int8
from export.precision.layers import LayerGraph
from tests.export.conftest import Traced
from tests.export.nets.facts import DATA
from tests.export.precision.graphs import arrays_of, attribute, graph_of, maker_of, model_of, nodes_of, random, readers_of, run

Trace = Callable[[str], Traced]


@pytest.mark.parametrize(("shape", "axis"), [((4, 3, 2, 2), 0), ((4, 3, 2, 2), 1), ((5, 6), 0), ((5, 6), 1)])
def test_weights_are_quantised_as_in_a_loop(shape: tuple[int, ...], axis: int) -> None:
    """Each output channel by its own largest number, which becomes 127; nothing becomes -128."""
    values = random(*shape) * random(*[shape[axis] if i == axis else 1 for i in range(len(shape))], seed=1)

    levels, scale = quantised_weight(values, axis)

    assert (levels.dtype, levels.shape, scale.dtype, scale.shape) == (np.int8, shape, np.float32, (shape[axis],))
    for channel in range(shape[axis]):
        largest = max(abs(float(v)) for v in values.take(channel, axis).ravel())
        assert scale[channel] == pytest.approx(largest / 127, rel=1e-6)
        for level, value in zip(levels.take(channel, axis).ravel().tolist(), values.take(channel, axis).ravel().tolist(), strict=True):
            assert abs(level * largest / 127 - value) <= largest / 127 * 0.5001
    assert np.abs(levels.astype(int)).max() == 127
    assert levels.min() >= -127


def test_a_wrong_axis_is_seen_in_the_scales() -> None:
    """A channel whose weights are small has a small step along its own axis only: the check that builders do not make."""
    values = random(4, 4, 3, 3)
    values[2] *= 1e-3

    errors = []
    for axis in (0, 1):
        levels, scale = quantised_weight(values, axis)
        back = levels * scale.reshape([-1 if i == axis else 1 for i in range(4)])
        errors.append(float(np.abs(back - values)[2].max() / np.abs(values[2]).max()))

    assert errors[0] < 0.005
    assert errors[1] > 0.5


@pytest.mark.parametrize("largest", [0.0, 1e-44, 1e-38])
def test_a_channel_of_nothing_has_a_step_that_is_a_number(largest: float) -> None:
    """Zero, and what is so small that the step would be no normal number, become 0; nothing is divided by 0."""
    levels, scale = quantised_weight(np.float32([[largest, -largest], [1, 2]]), 0)

    assert levels.tolist() == [[0, 0], [64, 127]]
    assert scale.tolist() == [1, pytest.approx(2 / 127)]
    assert scale_of(np.float32(largest)) == 1


NET = """(float[1,3,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] z) {
    a = Conv(x, one__weight, one__bias)  r = Relu(a)
    t = Conv(r, two__weight, two__bias)
    v = Add(t, r)  w = Relu(v)
    u = ConvTranspose<strides = [2,2]>(w, up__weight)
    d = MaxPool<kernel_shape = [2,2], strides = [2,2]>(u)
    b = Conv(w, head__weight)  y = Softmax<axis = 1>(b)
    q = Conv(d, head__weight)  z = Tanh(q)
}"""
WEIGHTS: dict[str, F32Array] = {
    "one__weight": random(4, 3, 1, 1),
    "one__bias": random(4, seed=1),
    "two__weight": random(4, 4, 1, 1, seed=2),
    "two__bias": random(4, seed=3),
    "up__weight": random(4, 4, 2, 2, seed=4),
    "head__weight": random(4, 4, 1, 1, seed=5),
}
X = random(1, 3, 8, 8, seed=6)
MODEL = model_of(NET, **WEIGHTS)
RANGES = {"x": 3.0, "r": 5.0, "w": 12.0, "d": 30.0}


def _steps(values: AnyArray, largest: float) -> AnyArray:
    step = np.float32(largest) / np.float32(127)
    return (np.clip(np.rint(values / step), -128, 127) * step).astype(np.float32)


def _weight(name: str, axis: int) -> AnyArray:
    """The rounded weight, one channel after the other."""
    values = WEIGHTS[name].copy()
    for channel in range(values.shape[axis]):
        place = tuple(channel if i == axis else slice(None) for i in range(values.ndim))
        values[place] = _steps(values[place], float(np.abs(values[place]).max()))
    return values


def _conv(x: AnyArray, weight: AnyArray) -> AnyArray:
    return np.einsum("oc,bchw->bohw", weight[:, :, 0, 0], x)


def _expected() -> dict[str, AnyArray]:
    """The net with everything rounded that a layer or a residual addition reads."""
    r = np.maximum(_conv(_steps(X, 3), _weight("one__weight", 0)) + WEIGHTS["one__bias"][:, None, None], 0)
    r = _steps(r, 5)
    w = _steps(np.maximum(_conv(r, _weight("two__weight", 0)) + WEIGHTS["two__bias"][:, None, None] + r, 0), 12)
    up = np.einsum("bchw,coij->bohiwj", w, _weight("up__weight", 1)).reshape(1, 4, 16, 16)
    d = _steps(up.reshape(1, 4, 8, 2, 8, 2).max(axis=(3, 5)), 30)
    head = _weight("head__weight", 0)
    exponential = np.exp(_conv(w, head) - _conv(w, head).max(axis=1, keepdims=True))
    return {"y": exponential / exponential.sum(axis=1, keepdims=True), "z": np.tanh(_conv(d, head))}


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_result_is_that_of_numpy_with_bytes(tmp_path: Path, backend: str) -> None:
    """All but a value that lies between two levels, which rounding may put into either."""
    found = run(to_int8(MODEL, RANGES, ()), tmp_path, {"x": X}, backend)

    for name, values in _expected().items():
        assert found[name].dtype == np.float32
        far = np.abs(found[name] - values) > 1e-3
        assert far.mean() < 0.05, name


def test_every_weight_is_int8_along_its_output_channels() -> None:
    """Stored as bytes; along axis 0 for Conv and 1 for ConvTranspose, in the values, the scales and the node: builders check none."""
    model = to_int8(MODEL, RANGES, ())
    arrays = arrays_of(model)

    for name, axis in (("one", 0), ("two", 0), ("up", 1), ("head", 0)):
        values = WEIGHTS[f"{name}__weight"]
        node = maker_of(model, f"{name}.weight_dq")
        others = tuple(i for i in range(4) if i != axis)
        assert (node.op_type, attribute(node, "axis")) == ("DequantizeLinear", axis)
        levels, scale, zero = (arrays[part] for part in node.input)
        assert (levels.dtype, zero.dtype, zero.any()) == (np.int8, np.int8, False)
        np.testing.assert_allclose(scale, np.abs(values).max(axis=others) / 127, rtol=1e-6)
        back = levels * scale.reshape([-1 if i == axis else 1 for i in range(4)])
        np.testing.assert_allclose(back, values, atol=float(scale.max()))
        assert f"{name}.weight" not in arrays


@pytest.mark.parametrize(
    ("text", "shape", "axis"),
    [
        ("(float[2,3] x) => (float[2,5] y) { y = Gemm<transB = 1>(x, a__weight) }", (5, 3), 0),
        ("(float[2,3] x) => (float[2,5] y) { y = MatMul(x, a__weight) }", (3, 5), 1),
    ],
)
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_matrices_are_quantised_along_their_output_channels(
    tmp_path: Path, text: str, shape: tuple[int, int], axis: int, backend: str
) -> None:
    """Also where one channel is a thousand times smaller than the others: along the other axis it would vanish."""
    weight = random(*shape)
    weight[(slice(None),) * axis + (2,)] *= 1e-3
    x = random(2, 3)
    model = to_int8(model_of(text, a__weight=weight), {"x": float(np.abs(x).max())}, ())

    found = run(model, tmp_path, {"x": x}, backend)["y"]

    expected = x @ (weight.T if axis == 0 else weight)
    assert attribute(maker_of(model, "a.weight_dq"), "axis") == axis
    np.testing.assert_allclose(found[:, 2], expected[:, 2], atol=0.03 * float(np.abs(expected[:, 2]).max()))


def _check_what_tensorrt_takes(model: onnx.ModelProto) -> None:
    """Symmetric int8 everywhere, float biases, scales of one type, no operator of another domain."""
    arrays = arrays_of(model)
    assert {node.domain for node in model.graph.node} == {""}
    for node in (*nodes_of(model, "QuantizeLinear"), *nodes_of(model, "DequantizeLinear")):
        scale, zero = arrays[node.input[1]], arrays[node.input[2]]
        assert scale.dtype == np.float32
        assert (scale > 0).all()
        assert zero.dtype == np.int8
        assert not zero.any()
        assert zero.shape == scale.shape
        if scale.ndim:
            assert node.input[0] in arrays, "an activation has one scale for all"
    assert not any(values.dtype == np.int32 for values in arrays.values())
    for layer in (*nodes_of(model, "Conv"), *nodes_of(model, "ConvTranspose"), *nodes_of(model, "Gemm")):
        if len(layer.input) > 2:
            assert arrays[layer.input[2]].dtype == np.float32


def test_the_form_is_the_one_that_tensorrt_takes() -> None:
    """Zero points are 0, biases float, scales positive, activations per tensor."""
    model = to_int8(MODEL, RANGES, ())

    _check_what_tensorrt_takes(model)
    assert (model.graph.input, model.graph.output) == (MODEL.graph.input, MODEL.graph.output)


def test_a_tensor_is_quantised_once_and_every_reader_has_its_own_dequantisation() -> None:
    """The residual addition reads the quantised tensor too; its result is quantised for the layers behind it."""
    model = to_int8(MODEL, RANGES, ())

    quantised = [node.input[0] for node in nodes_of(model, "QuantizeLinear")]
    assert sorted(quantised) == ["d", "r", "w", "x"]
    for tensor, readers in (("x", ["Conv"]), ("r", ["Add", "Conv"]), ("w", ["Conv", "ConvTranspose"]), ("d", ["Conv"])):
        dequantised = readers_of(model, f"{tensor}_q")
        assert {node.op_type for node in dequantised} == {"DequantizeLinear"}
        each = [readers_of(model, node.output[0]) for node in dequantised]
        assert [len(one) for one in each] == [1] * len(readers)
        assert sorted(one[0].op_type for one in each) == readers
    (residual,) = nodes_of(model, "Add")
    assert residual.input[0] == "t"
    assert maker_of(model, residual.input[1]).op_type == "DequantizeLinear"


def test_one_activation_that_is_read_twice_by_one_node_is_dequantised_twice(tmp_path: Path) -> None:
    """Names do not clash."""
    model = model_of("(float[1,2,4,4] x) => (float[1,2,4,4] y) { d = Add(x, x)  y = Conv(x, a__weight) }", a__weight=random(2, 2, 1, 1))

    run(to_int8(model, {"x": 3.0}, ()), tmp_path, {"x": random(1, 2, 4, 4)})


@pytest.mark.parametrize("kept", [("head",), ("two",), ("one", "up")])
def test_layers_that_are_to_stay_float_do(tmp_path: Path, kept: tuple[str, ...]) -> None:
    """With their own weights and, where nobody else needs bytes, their own inputs."""
    model = to_int8(MODEL, RANGES, kept)

    arrays = arrays_of(model)
    for name in ("one", "two", "up", "head"):
        assert (f"{name}.weight" in arrays) == (name in kept)
        assert (f"{name}.weight_int8" in arrays) == (name not in kept)
    for layer in LayerGraph(MODEL).layers.values():
        for node in layer.nodes:
            now = maker_of(model, node.output[0])
            assert (now.input[0] == node.input[0]) == (layer.name in kept)
    assert {node.input[0] for node in nodes_of(model, "QuantizeLinear")} == {
        name for layer in LayerGraph(MODEL).layers.values() if layer.name not in kept for name in layer.inputs
    }
    run(model, tmp_path, {"x": X})


def test_everything_in_float_is_the_graph_itself() -> None:
    """No node is added."""
    assert to_int8(MODEL, {}, ("one", "two", "up", "head")) == MODEL


def test_the_original_is_not_touched() -> None:
    """It serves for the next attempt."""
    before = MODEL.SerializeToString(deterministic=True)

    to_int8(MODEL, RANGES, ("two",))

    assert MODEL.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("variant", ["plain", "plus", "video", "warp", "rcnn"])
def test_tiny_nets_become_int8(tiny_graph: Trace, tmp_path: Path, variant: str) -> None:
    """Every kind of layer of the families, in the form that TensorRT takes; trunks and dense outputs stay near on both backends."""
    traced = tiny_graph(variant)
    model = onnx.load(traced.file)
    feeds = traced.feeds([cv2.resize(cv2.imread(str(DATA / "coffee.png")), (150, 100))])
    layers = LayerGraph(model, frozenset(traced.graph.carry.values()))
    ranges = activation_ranges(model, traced.graph, tmp_path, feeds)

    small = to_int8(model, {name: found.largest for name, found in ranges.items()}, layers.last_layers)
    onnx.checker.check_model(small, full_check=True)
    _check_what_tensorrt_takes(small)
    onnx.save(small, tmp_path / "int8.onnx")

    assert (small.graph.input, small.graph.output) == (model.graph.input, model.graph.output)
    assert len(nodes_of(small, "QuantizeLinear")) > 5
    for backend in ("onnxruntime", "openvino"):
        with (
            BACKENDS[backend].open(traced.file, traced.graph, "fp32", 1) as exact,
            BACKENDS[backend].open(tmp_path / "int8.onnx", traced.graph, "int8", 1) as rounded,
        ):
            wanted, found = exact.run(feeds[0]), rounded.run(feeds[0])
        assert found.keys() == wanted.keys()
        for name in dense_outputs(traced.family, traced.module.carry):
            assert np.abs(wanted[name] - found[name]).mean() < 0.2 * wanted[name].std(), (backend, name)


def test_the_description_does_not_change() -> None:
    """So that one manifest serves all precisions."""
    assert graph_of(to_int8(MODEL, RANGES, ())) == graph_of(MODEL)
