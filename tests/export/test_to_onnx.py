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
from export.to_onnx import OPSET, to_onnx
from tests.export.conftest import Traced
from tests.export.nets.facts import DATA
from tests.export.tiny import VARIANTS

Trace = Callable[[str], Traced]


def _picture(traced: Traced, name: str) -> AnyArray:
    pixels = cv2.imread(str(DATA / f"{name}.png"))
    return traced.input.place(pixels.shape[:2]).apply(pixels, traced.input.dtype)


def _rows(outputs: dict[str, AnyArray]) -> AnyArray:
    """All that is said of each detection, a row each."""
    found = outputs[yolact.SCORES] >= 0
    columns = [outputs[name][found].reshape(found.sum(), -1) for name in outputs if name != yolact.PROTOTYPES]
    return np.concatenate(columns, axis=1).astype(np.float64)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_computes_what_the_net_computes(tiny_graph: Trace, variant: str, backend: str) -> None:
    """Every detection with its box, score, class, coefficients and mask IoU, and the prototypes, on two pictures."""
    traced = tiny_graph(variant)
    with BACKENDS[backend].open(traced.file, traced.graph, "fp32", 1) as session:
        for picture in ("astronaut", "coffee"):
            image = _picture(traced, picture)
            found = session.run({IMAGE: image})
            with torch.inference_mode():
                tensors = traced.module.module(torch.from_numpy(image))
            wanted = {name: tensor.numpy() for name, tensor in zip(traced.module.outputs, tensors, strict=True)}

            assert len(_rows(wanted)) > 5
            np.testing.assert_allclose(_rows(found), _rows(wanted), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(found[yolact.PROTOTYPES], wanted[yolact.PROTOTYPES], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_is_standard_and_static(tiny_graph: Trace, variant: str) -> None:
    """One opset of the standard domain, no function, no sub-graph, no external data, and every shape a number."""
    traced = tiny_graph(variant)
    model = onnx.load(traced.file)
    onnx.checker.check_model(model, full_check=True)

    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    assert not any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute)
    assert [path.name for path in traced.file.parent.iterdir()] == ["key.onnx"]
    for value in (*model.graph.input, *model.graph.output):
        assert all(side.HasField("dim_value") for side in value.type.tensor_type.shape.dim), value.name


@pytest.mark.parametrize("variant", VARIANTS)
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
    specs = {name: tiny_graph(name).graph for name in VARIANTS}

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


class _Impossible(nn.Module):
    """What it computes depends on the picture's content."""

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (image if image.sum() > 1 else -image,)


def test_a_net_that_cannot_be_traced_is_an_export_error(tmp_path: Path) -> None:
    """With the exporter's reason, and nothing on the screen."""
    with pytest.raises(ExportError, match="cannot be expressed in standard ONNX operators"):
        to_onnx(_Impossible(), torch.zeros(1, 4, 4, 3), IMAGE, ("found",), tmp_path / "key.onnx")
