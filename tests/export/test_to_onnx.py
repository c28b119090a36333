"""The traced graph of small nets with every part of the official ones: its form, and its numbers on both CPU backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgeseg.backends import BACKENDS
from edgeseg.errors import ExportError
from edgeseg.families import yolact
from edgeseg.families.base import IMAGE
from edgeseg.types import AnyArray
from export.measure import dense_outputs
from export.to_onnx import OPSET, to_onnx
from tests.export.conftest import Traced
from tests.export.nets.facts import DATA
from tests.export.tiny import VARIANTS, each

Trace = Callable[[str], Traced]


def _rows(outputs: dict[str, AnyArray], dense: tuple[str, ...]) -> AnyArray:
    """All that is said of each detection, a row each."""
    found = outputs[yolact.SCORES] >= 0
    columns = [outputs[name][found].reshape(found.sum(), -1) for name in outputs if name not in dense]
    return np.concatenate(columns, axis=1).astype(np.float64)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("variant", each(VARIANTS))
def test_the_graph_computes_what_the_net_computes(tiny_graph: Trace, variant: str, backend: str) -> None:
    """Every detection with its box, score, class, coefficients and mask IoU, the prototypes and what is carried, on two pictures."""
    traced = tiny_graph(variant)
    dense = dense_outputs(traced.family, traced.module.carry)
    with BACKENDS[backend].open(traced.file, traced.graph, "fp32", 1) as session:
        for feeds in traced.feeds(cv2.imread(str(DATA / f"{picture}.png")) for picture in ("astronaut", "coffee")):
            found = session.run(feeds)
            with torch.inference_mode():
                tensors = traced.module.module(*(torch.from_numpy(feeds[name]) for name in traced.module.inputs))
            wanted = {name: tensor.numpy() for name, tensor in zip(traced.module.outputs, tensors, strict=True)}

            assert len(_rows(wanted, dense)) > 5
            np.testing.assert_allclose(_rows(found, dense), _rows(wanted, dense), rtol=1e-3, atol=1e-4)
            for name in dense:
                np.testing.assert_allclose(found[name], wanted[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variant", each(VARIANTS))
def test_the_graph_is_standard_and_static(tiny_graph: Trace, variant: str) -> None:
    """One opset of the standard domain, no function, no sub-graph, no external data, no notes on sources, and every shape a number.

    Sub-graphs are what Loop and If are made of; NonZero and Scatter would be data-dependent or unknown to TensorRT.
    """
    traced = tiny_graph(variant)
    model = onnx.load(traced.file)
    onnx.checker.check_model(model, full_check=True)

    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not any(node.op_type.startswith(("NonZero", "Scatter")) for node in model.graph.node)
    assert not model.functions
    assert not any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute)
    assert sorted(path.stem for path in traced.file.parent.iterdir()) == sorted(traced.modules)
    assert b".py" not in traced.file.read_bytes()
    for value in (*model.graph.input, *model.graph.output):
        assert all(side.HasField("dim_value") for side in value.type.tensor_type.shape.dim), value.name


@pytest.mark.parametrize("variant", each(VARIANTS))
def test_the_description_is_that_of_the_file(tiny_graph: Trace, variant: str) -> None:
    """Names in order, dtypes and shapes, as the manifest will hold them."""
    traced = tiny_graph(variant)
    model = onnx.load(traced.file)

    for declared, values in ((traced.graph.inputs, model.graph.input), (traced.graph.outputs, model.graph.output)):
        types = [value.type.tensor_type for value in values]
        dtypes = [onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name for kind in types]
        shapes = [tuple(side.dim_value for side in kind.shape.dim) for kind in types]
        assert [(spec.name, spec.dtype, spec.shape) for spec in declared] == list(
            zip([value.name for value in values], dtypes, shapes, strict=True)
        )


def test_the_options_and_the_net_decide_inputs_and_outputs(tiny_graph: Trace) -> None:
    """float32 pictures, twice the rows across classes, and a mask IoU from YOLACT++ only."""
    names = ("plain", "float32", "cross_class", "plus", "rcnn", "rcnn_v2", "rcnn_tensorrt", "faster")
    specs = {name: tiny_graph(name).graph for name in names}

    assert str(specs["plain"].inputs[0]) == "image: uint8 [1, 96, 96, 3]"
    assert str(specs["float32"].inputs[0]) == "image: float32 [1, 96, 96, 3]"
    assert [str(spec) for spec in specs["plain"].outputs] == [
        "boxes: float32 [100, 4]",
        "scores: float32 [100]",
        "classes: int64 [100]",
        "coefficients: float32 [100, 4]",
        "prototypes: float32 [24, 24, 4]",
    ]
    assert str(specs["cross_class"].outputs[0]) == "boxes: float32 [200, 4]"
    assert str(specs["plus"].outputs[-1]) == "mask_iou: float32 [100]"
    assert str(specs["rcnn"].inputs[0]) == "image: float32 [1, 90, 130, 3]"
    assert [str(spec) for spec in specs["rcnn_v2"].outputs] == [
        "boxes: float32 [20, 4]",
        "scores: float32 [20]",
        "classes: int64 [20]",
        "masks: float32 [20, 28, 28]",
    ]
    assert [spec.name for spec in specs["faster"].outputs] == ["boxes", "scores", "classes"]
    assert specs["rcnn"] == specs["rcnn_tensorrt"]


def test_the_target_decides_the_operators(tiny_graph: Trace) -> None:
    """RoiAlign and NonMaxSuppression for CPUs; for TensorRT, which builds neither here, what does the same."""
    operators = {name: {node.op_type for node in onnx.load(tiny_graph(name).file).graph.node} for name in ("rcnn", "rcnn_tensorrt")}

    assert {"RoiAlign", "NonMaxSuppression"} < operators["rcnn"]
    assert not {"RoiAlign", "NonMaxSuppression"} & operators["rcnn_tensorrt"]
    assert "GridSample" in operators["rcnn_tensorrt"] - operators["rcnn"]


def test_the_graph_for_warped_frames_takes_what_key_frames_carry(tiny_graph: Trace) -> None:
    """The maps of P4 and P5 and the reduced lateral, in the dtypes and shapes in which the key graph gives them, and nothing more."""
    key, warp = tiny_graph("video"), tiny_graph("warp")

    assert warp.graph.carry == {}
    assert key.graph.carry == {"key_sum4": "sum4", "key_sum5": "sum5", "key_reduced": "reduced"}
    assert [str(spec) for spec in warp.graph.inputs] == [
        "image: float32 [1, 96, 96, 3]",
        "key_sum4: float32 [1, 16, 6, 6]",
        "key_sum5: float32 [1, 16, 3, 3]",
        "key_reduced: float32 [1, 8, 12, 12]",
    ]
    assert [str(spec).split(": ")[1] for spec in key.graph.outputs[-3:]] == [str(spec).split(": ")[1] for spec in warp.graph.inputs[1:]]
    assert warp.graph.outputs == key.graph.outputs[:-3]


def test_no_graph_holds_what_it_does_not_need(tiny_graph: Trace) -> None:
    """Key frames know no flow net; warped frames no trunk behind C3 and no laterals of C4 and C5; neither the training's branch."""
    weights = {name: [tensor.name for tensor in onnx.load(tiny_graph(name).file).graph.initializer] for name in ("video", "warp")}

    def holds(variant: str, part: str) -> bool:
        return any(name.startswith(f"net.{part}.") for name in weights[variant])

    parts = ("backbone.layers.1", "backbone.layers.2", "fpn.lat_layers.0", "fpn.lat_layers.2", "flow_net_pre_convs", "flow_net", "spa")
    assert [part for part in parts if holds("video", part)] == [*parts[:5]]
    assert [part for part in parts if holds("warp", part)] == [parts[0], *parts[3:]]
    assert not any(holds(variant, "semantic_seg_conv") for variant in weights)


class _Impossible(nn.Module):
    """What it computes depends on the picture's content."""

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (image if image.sum() > 1 else -image,)


def test_a_net_that_cannot_be_traced_is_an_export_error(tmp_path: Path) -> None:
    """With the exporter's reason, and nothing on the screen."""
    with pytest.raises(ExportError, match="cannot be expressed in standard ONNX operators"):
        to_onnx(_Impossible(), {IMAGE: torch.zeros(1, 4, 4, 3)}, ("found",), tmp_path / "key.onnx")
