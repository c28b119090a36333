"""The ranges of activations: numpy's, from pictures that pass one at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import ExportError
from edgeseg.types import AnyArray
from export.precision.calibration import Measuring, activation_ranges
from tests.export.precision.graphs import graph_of, model_of, random

W1, W2 = random(4, 3, 1, 1), random(2, 4, 1, 1, seed=1)
TEXT = "(float[1,3,5,6] x) => (float[1,2,5,6] y) { a = Conv(x, one__weight)  r = Relu(a)  b = Conv(r, two__weight)  y = Tanh(b) }"
MODEL = model_of(TEXT, one__weight=W1, two__weight=W2)
GRAPH = graph_of(MODEL)


def _pictures(count: int) -> Iterator[AnyArray]:
    for seed in range(count):
        yield random(1, 3, 5, 6, seed=10 + seed) * (seed + 1)


def test_ranges_are_those_of_numpy(tmp_path: Path) -> None:
    """The largest over all pictures and the mean over pictures, of everything that a layer reads or gives; nothing stays on the disk."""
    expected: dict[str, list[float]] = {"x": [], "a": [], "r": [], "b": []}
    for x in _pictures(3):
        a = np.einsum("oc,bchw->bohw", W1[:, :, 0, 0], x)
        r = np.maximum(a, 0)
        b = np.einsum("oc,bchw->bohw", W2[:, :, 0, 0], r)
        for name, values in (("x", x), ("a", a), ("r", r), ("b", b)):
            expected[name].append(float(np.abs(values).max()))

    ranges = activation_ranges(MODEL, GRAPH, tmp_path, ({"x": x} for x in _pictures(3)))

    assert ranges.keys() == expected.keys()
    for name, values in expected.items():
        assert ranges[name].largest == pytest.approx(max(values), rel=1e-5)
        assert ranges[name].mean == pytest.approx(np.mean(values), rel=1e-5)
    assert list(tmp_path.iterdir()) == []


def test_no_more_than_one_picture_is_in_memory(tmp_path: Path) -> None:
    """However many there are, each is gone when the next but one is asked for."""
    alive: list[weakref.ref[AnyArray]] = []
    most = 0

    def feeds() -> Iterator[dict[str, AnyArray]]:
        nonlocal most
        for seed in range(6):
            picture = random(1, 3, 5, 6, seed=seed)
            alive.append(weakref.ref(picture))
            given = {"x": picture}
            del picture
            yield given
            del given
            # What the consumer still names is the picture before.
            most = max(most, sum(one() is not None for one in alive))

    activation_ranges(MODEL, GRAPH, tmp_path, feeds())

    assert len(alive) == 6
    assert most <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7, -1])
def test_a_network_that_gives_no_numbers_is_refused(tmp_path: Path, value: float, place: int) -> None:
    """Wherever in one of the pictures that happens; nothing stays on the disk."""
    pictures = list(_pictures(2))
    pictures[0].reshape(-1)[place] = value

    with pytest.raises(ExportError, match="infinite values or NaN on the calibration pictures"):
        activation_ranges(MODEL, GRAPH, tmp_path, ({"x": x} for x in pictures))
    assert list(tmp_path.iterdir()) == []


def test_without_a_picture_there_is_nothing_to_calibrate_on(tmp_path: Path) -> None:
    """The error names the option; nothing stays on the disk."""
    with pytest.raises(ExportError, match=r"no picture to calibrate on\. Give some with --calibration"):
        activation_ranges(MODEL, GRAPH, tmp_path, iter(()))
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The error passes through, the file is removed."""

    def feeds() -> Iterator[dict[str, AnyArray]]:
        yield {"x": random(1, 3, 5, 6)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        activation_ranges(MODEL, GRAPH, tmp_path, feeds())
    assert list(tmp_path.iterdir()) == []


def test_the_measured_graph_stays_as_it_was(tmp_path: Path) -> None:
    """Measuring works on a copy."""
    before = MODEL.SerializeToString(deterministic=True)

    measuring = Measuring(MODEL)
    measuring.result("half of a", measuring.add("ReduceMax", measuring.add("Mul", "a", measuring.constant(np.float32(0.5))), keepdims=0))
    found = measuring.run(GRAPH, tmp_path, [{"x": np.ones((1, 3, 5, 6), np.float32)}])

    assert MODEL.SerializeToString(deterministic=True) == before
    assert found["half of a"].largest == pytest.approx(0.5 * W1.sum(axis=(1, 2, 3)).max(), rel=1e-5)
