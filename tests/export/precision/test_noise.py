"""The noise that a precision adds to each layer, against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.types import AnyArray, F64Array
from export.precision.noise import HalfRounding, Int8Rounding, Rounding, layer_noise
from tests.export.precision.graphs import graph_of, model_of, random

X = random(1, 3, 4, 5)
W = random(2, 3, 1, 1, seed=1)
BIAS = random(2, seed=2)
RANGE = 2.0


def _int8(value: float, largest: float) -> float:
    return float(np.clip(np.rint(value / (largest / 127)), -128, 127)) * largest / 127


def _convolved(x: AnyArray, w: AnyArray) -> F64Array:
    out = np.zeros((2, 4, 5))
    for o, i, j in np.ndindex(out.shape):
        out[o, i, j] = sum(float(w[o, c, 0, 0]) * float(x[0, c, i, j]) for c in range(3)) + float(BIAS[o])
    return out


def _int8_noise() -> float:
    w, x = W.copy(), X.copy()
    for o in range(2):
        largest = max(abs(float(v)) for v in W[o].ravel())
        for c in range(3):
            w[o, c, 0, 0] = _int8(float(W[o, c, 0, 0]), largest)
    for place in np.ndindex(x.shape):
        x[place] = _int8(float(X[place]), RANGE)
    exact = _convolved(X, W)
    return float(((_convolved(x, w) - exact) ** 2).mean() / (exact**2).mean())


def _half_noise() -> float:
    exact = _convolved(X, W)
    rounded = _convolved(X.astype(np.float16), W.astype(np.float16))
    return float(((rounded - exact) ** 2).mean() / (exact**2).mean())


@pytest.mark.parametrize(("rounding", "expected"), [(Int8Rounding({"x": RANGE}), _int8_noise()), (HalfRounding(), _half_noise())])
def test_the_noise_of_one_convolution_is_that_of_a_loop(tmp_path: Path, rounding: Rounding, expected: float) -> None:
    """Mean square of the difference over that of the exact output, with its bias; nothing stays on the disk."""
    model = model_of("(float[1,3,4,5] x) => (float[1,2,4,5] y) { y = Conv(x, a__weight, bias) }", a__weight=W, bias=BIAS)

    noise = layer_noise(model, graph_of(model), tmp_path, lambda: [{"x": X}], rounding)

    assert noise == {"a": pytest.approx(expected, rel=1e-3)}
    assert expected > 0
    assert list(tmp_path.iterdir()) == []


CHAIN = "(float[1,3,4,5] x) => (float[1,3,4,5] y) { p = Conv(x, a__weight)  q = Conv(p, b__weight)  y = Conv(x, b__weight) }"


def test_the_noisiest_layer_comes_first_and_hands_nothing_on(tmp_path: Path) -> None:
    """A layer of which one weight is far larger than the others loses these; the exact one behind it has no noise of its own."""
    outlier = np.full((3, 3, 1, 1), 0.3, np.float32)
    outlier[:, 0] = 100
    exact = np.eye(3, dtype=np.float32)[:, :, None, None]
    x = X.copy()
    x[:, 0] = 0
    ranges = dict.fromkeys(("x", "p"), 10000.0)
    model = model_of(CHAIN, a__weight=outlier, b__weight=exact)

    class WeightsOnly(Int8Rounding):
        def activation(self, tensor: str, _: object) -> str:
            return tensor

    noise = layer_noise(model, graph_of(model), tmp_path, lambda: [{"x": x}], WeightsOnly(ranges))

    assert list(noise) == ["a", "b"]
    assert noise["a"] > 0.1
    assert noise["b"] < 1e-10


def test_a_layer_has_the_noise_of_its_worst_use_and_picture(tmp_path: Path) -> None:
    """A shared head is as bad as on the level where it is worst."""
    model = model_of(CHAIN, a__weight=random(3, 3, 1, 1), b__weight=random(3, 3, 1, 1, seed=3))
    graph, rounding = graph_of(model), Int8Rounding({"x": 2.0, "p": 2.0})
    few = [{"x": X}, {"x": X * np.float32(0.1)}]

    noise = layer_noise(model, graph, tmp_path, lambda: few, rounding)
    each = [layer_noise(model, graph, tmp_path, lambda one=one: [one], rounding) for one in few]

    for name in ("a", "b"):
        assert noise[name] == pytest.approx(max(one[name] for one in each))


def test_what_overflows_is_the_noisiest(tmp_path: Path) -> None:
    """Half precision cannot hold such an input: the layer is worse than any that only rounds; a weight of that size is clipped."""
    model = model_of(CHAIN, a__weight=random(3, 3, 1, 1), b__weight=random(3, 3, 1, 1, seed=3) * np.float32(1e6))

    noise = layer_noise(model, graph_of(model), tmp_path, lambda: [{"x": X * np.float32(1e5)}], HalfRounding())
    clipped = layer_noise(model, graph_of(model), tmp_path, lambda: [{"x": X}], HalfRounding())

    assert noise["a"] == float("inf")
    assert 0.01 < clipped["b"] < 10
    assert list(clipped) == ["b", "a"]


def test_a_layer_that_gives_nothing_has_no_noise(tmp_path: Path) -> None:
    """0 over 0 is 0 here."""
    model = model_of(CHAIN, a__weight=np.zeros((3, 3, 1, 1), np.float32), b__weight=random(3, 3, 1, 1))

    noise = layer_noise(model, graph_of(model), tmp_path, lambda: [{"x": X}], Int8Rounding({"x": 2.0, "p": 0.0}))

    assert noise["a"] == 0
