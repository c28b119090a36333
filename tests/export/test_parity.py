"""The comparison of graph and network: it passes the same, and stops whatever is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgeseg.errors import ExportError
from edgeseg.families.base import KEY
from edgeseg.types import U8Array
from export.measure import dense_outputs
from export.parity import Parity, compare
from tests.export.conftest import Traced
from tests.export.nets.facts import DATA
from tests.export.tiny import each

Trace = Callable[[str], Traced]


def altered(file: Path, out: Path, initialiser: str, factor: float) -> Path:
    """A copy of a graph with one of its weights scaled."""
    model = onnx.load(file)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name.endswith(initialiser))
    tensor.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(tensor) * factor).astype(np.float32), tensor.name))
    onnx.save(model, out)
    return out


@pytest.fixture(scope="module")
def pictures() -> list[U8Array]:
    """One small picture."""
    return [cv2.resize(cv2.imread(str(DATA / "coffee.png")), (150, 100))]


def _compare(traced: Traced, file: Path, pictures: list[U8Array]) -> Parity:
    return compare(traced.bundle(file), traced.name, traced.module, traced.feeds(pictures))


@pytest.mark.parametrize(
    "variant",
    each(["plain", "float32", "plus", "video", "warp", "warp_minimal", "rcnn", "rcnn_v2_tensorrt", "faster", "upsnet", "vpsnet", "fuse"]),
)
def test_a_faithful_graph_passes(tiny_graph: Trace, pictures: list[U8Array], variant: str) -> None:
    """All instances have a counterpart, and the figures are those of float32 rounding."""
    traced = tiny_graph(variant)

    parity = _compare(traced, traced.file, pictures)

    parity.require()
    assert parity.instances > 3
    assert (parity.pictures, parity.unmatched) == (1, 0)
    assert parity.max_score_error < 1e-4
    assert parity.min_mask_iou > 0.99
    assert tuple(parity.dense_error) == dense_outputs(traced.family, traced.module.carry)
    assert all(error < 1e-4 for error in parity.dense_error.values())


@pytest.mark.parametrize(
    ("initialiser", "factor", "message"),
    [
        ("proto_net.10.weight", 1.01, "outputs differ by {'prototypes': 0.0"),
        ("proto_net.10.weight", np.nan, "outputs differ by {'prototypes': inf}"),
        ("conf_layer.weight", 1.05, "instances on 1 pictures have no counterpart"),
        ("bbox_layer.weight", 1.5, "instances on 1 pictures have no counterpart"),
        ("mask_layer.weight", -1.0, "instances on 1 pictures have no counterpart"),
        ("conf_layer.weight", 0.0, "instances on 1 pictures have no counterpart"),
        ("cls_logits.weight", -1.0, "instances on 1 pictures have no counterpart"),
        ("cls_score.weight", 1.05, "instances on 1 pictures have no counterpart"),
        ("conv5_mask.weight", -1.0, "instances on 1 pictures have no counterpart"),
    ],
)
def test_an_altered_graph_is_refused(
    tiny_graph: Trace, pictures: list[U8Array], tmp_path: Path, initialiser: str, factor: float, message: str
) -> None:
    """A small change of the prototypes, classes, boxes, proposals or masks is told from rounding."""
    traced = tiny_graph("plain" if "layer" in initialiser or "proto" in initialiser else "rcnn")

    parity = _compare(traced, altered(traced.file, tmp_path / "altered.onnx", initialiser, factor), pictures)

    with pytest.raises(ExportError, match=r"does not match the network.*Nothing was written") as caught:
        parity.require()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variant", "initialiser", "message"),
    [
        ("video", "net.fpn.lat_layers.1.bias", "'sum4': "),
        ("video", "flow_net_pre_convs.convs.0.0.weight", "'reduced': "),
        ("warp", "flow_net.pred2.conv.weight", "outputs differ by {'prototypes': 0."),
        ("warp", "flow_net_pre_convs.convs.0.0.weight", "outputs differ by {'prototypes': 0."),
        ("warp", "spa.refine_convs.1.0.weight", "instances on 1 pictures have no counterpart"),
    ],
)
def test_an_altered_video_graph_is_refused(
    tiny_graph: Trace, pictures: list[U8Array], tmp_path: Path, variant: str, initialiser: str, message: str
) -> None:
    """What is carried and what warps it is compared as well."""
    traced = tiny_graph(variant)

    parity = _compare(traced, altered(traced.file, tmp_path / "altered.onnx", initialiser, 1.5), pictures)

    with pytest.raises(ExportError, match="does not match the network") as caught:
        parity.require()
    assert message in str(caught.value)


def test_warped_frames_are_compared_on_two_views_of_each_picture(tiny_graph: Trace, pictures: list[U8Array]) -> None:
    """The later view is the picture's own pixels a little further on, and what is carried comes from the earlier one."""
    traced = tiny_graph("warp")
    height, width = (side - side // 24 for side in pictures[0].shape[:2])
    earlier, later = pictures[0][:height, :width], pictures[0][-height:, -width:]

    (feeds,) = traced.feeds(pictures)

    prepared = [traced.input.place((height, width)).apply(np.ascontiguousarray(view), "float32") for view in (earlier, later)]
    with torch.inference_mode():
        carried = traced.modules[KEY].module(torch.from_numpy(prepared[0]))[-3:]
    expected = {"image": prepared[1], "key_sum4": carried[0], "key_sum5": carried[1], "key_reduced": carried[2]}
    assert feeds.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(feeds[name], array)


@pytest.mark.parametrize(
    ("instances", "unmatched", "passes"),
    [(0, 0, True), (0, 1, False), (5, 1, True), (5, 2, False), (100, 2, True), (100, 3, False), (149, 2, True), (150, 3, True)],
)
def test_near_ties_may_differ_and_no_more(instances: int, unmatched: int, passes: bool) -> None:
    """One instance or two in a hundred may lie on a threshold."""
    parity = Parity(1, instances, unmatched)

    if passes:
        parity.require()
    else:
        with pytest.raises(ExportError, match=f"{unmatched} of {instances} instances"):
            parity.require()


@pytest.mark.parametrize(("error", "passes"), [(0.0, True), (1e-3, True), (1.1e-3, False), (float("inf"), False), (float("nan"), False)])
def test_dense_outputs_may_differ_by_a_thousandth_of_their_deviation(error: float, passes: bool) -> None:
    """What cannot be compared does not pass."""
    parity = replace(Parity(1, 5), dense_error={"prototypes": error})

    if passes:
        parity.require()
    else:
        with pytest.raises(ExportError, match="outputs differ by"):
            parity.require()


def test_the_figures_go_into_the_manifest() -> None:
    """With the backend that they were measured on."""
    record = Parity(2, 30, 1, 1e-6, 0.99, {"prototypes": 1e-5}).to_json()

    assert record.pop("backend").startswith("onnxruntime 1.")
    assert record == {
        "pictures": 2,
        "instances": 30,
        "unmatched": 1,
        "max_score_error": 1e-6,
        "min_mask_iou": 0.99,
        "dense_error": {"prototypes": 1e-5},
    }
