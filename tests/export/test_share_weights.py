"""Weights that several graphs hold lie in one file, once, and every reader finds them there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.backends import BACKENDS
from edgeseg.types import AnyArray
from export.share_weights import MIN_BYTES, share_weights
from tests.export.conftest import Traced
from tests.export.nets.facts import DATA

Trace = Callable[[str], Traced]
PAGE = 4096


def _graph(file: Path, **weights: AnyArray) -> Path:
    """A graph that adds its weights to its input."""
    names = ["x", *weights]
    nodes = [helper.make_node("Sum", names, ["y"])]
    shape = next(iter(weights.values())).shape
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    onnx.save(helper.make_model(helper.make_graph(nodes, "sum", ports[:1], ports[1:], held)), file)
    return file


def _places(file: Path) -> dict[str, tuple[int, int]]:
    """Weight -> offset and length in the shared file."""
    outside = [tensor for tensor in onnx.load(file, load_external_data=False).graph.initializer if tensor.external_data]
    entries = {tensor.name: {entry.key: entry.value for entry in tensor.external_data} for tensor in outside}
    assert {entry["location"] for entry in entries.values()} <= {"weights.bin"}
    return {name: (int(entry["offset"]), int(entry["length"])) for name, entry in entries.items()}


def test_equal_weights_are_written_once(tmp_path: Path) -> None:
    """Whatever their names; others follow on the next page, and small ones stay in their graph."""
    same, other, small = (np.full(shape, value, np.float32) for shape, value in ((300, 1), (300, 2), (1, 3)))
    graphs = [_graph(tmp_path / "a.onnx", one=same, small=small), _graph(tmp_path / "b.onnx", two=other, three=same)]

    share_weights(graphs, tmp_path / "weights.bin")

    assert [_places(file) for file in graphs] == [{"one": (0, 1200)}, {"two": (PAGE, 1200), "three": (0, 1200)}]
    assert (tmp_path / "weights.bin").stat().st_size == PAGE + 1200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx", "weights.bin"]
    for file, weights in zip(graphs, ({"one": same, "small": small}, {"two": other, "three": same}), strict=True):
        model = onnx.load(file)
        onnx.checker.check_model(str(file), full_check=True)
        for tensor in model.graph.initializer:
            np.testing.assert_array_equal(numpy_helper.to_array(tensor), weights[tensor.name])


def test_the_size_from_which_weights_move(tmp_path: Path) -> None:
    """One number less and they stay."""
    below, at = (np.zeros((MIN_BYTES // 4 - less, 1), np.float32) for less in (1, 0))
    graphs = [_graph(tmp_path / "below.onnx", w=below), _graph(tmp_path / "at.onnx", w=at)]

    share_weights(graphs, tmp_path / "weights.bin")

    assert [list(_places(file)) for file in graphs] == [[], ["w"]]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_both_graphs_of_a_video_net_still_compute_the_same(tiny_graph: Trace, tmp_path: Path, backend: str) -> None:
    """Bit for bit on each backend, with every weight that they have in common from the same place."""
    pictures = [cv2.imread(str(DATA / "coffee.png"))]
    traced = {name: tiny_graph(variant) for name, variant in (("key", "video"), ("warp", "warp"))}
    files = {name: tmp_path / f"{name}.onnx" for name in traced}
    for name, file in files.items():
        file.write_bytes(traced[name].file.read_bytes())

    share_weights(list(files.values()), tmp_path / "weights.bin")

    key, warp = _places(files["key"]), _places(files["warp"])
    common = key.keys() & warp.keys()
    assert len(common) > 15
    assert {name: key[name] for name in common} == {name: warp[name] for name in common}
    for name, entry in traced.items():
        (feeds,) = entry.feeds(pictures)
        found = []
        for file in (entry.file, files[name]):
            with BACKENDS[backend].open(file, entry.graph, "fp32", 1) as session:
                found.append(session.run(feeds))
        for output, array in found[0].items():
            np.testing.assert_array_equal(found[1][output], array, output)
