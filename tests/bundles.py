"""A real bundle of a few nodes, so that tests of what surrounds a network need no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.bundle import MANIFEST, Bundle, Graph, InputSpec, TensorSpec, sha256
from edgeseg.families import maskrcnn, panoptic, yolact
from edgeseg.families.base import FUSE, IMAGE, KEY, WARP
from edgeseg.types import BoolArray, Label, SizeHW

ROWS = 5
"""Detections that the graph can hold."""
CELLS = 16
"""Cells of the prototypes along both axes."""


STATE, KEY_STATE, REFERENCE = "state", "key_state", "reference_state"
"""What the key graph of a video bundle gives, and the inputs of the light graph and of the next key frame that take it."""


@dataclass(frozen=True)
class Found:
    """One detection that the graph gives for every picture."""

    class_id: int
    score: float
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in sixteenths of the picture."""
    left_half_only: bool = False
    """Whether the mask ends at the middle of the picture; means nothing to a family without masks."""
    mask_iou: float = 1.0


FOUND = (
    Found(0, 0.9, (4, 4, 8, 12), mask_iou=0.5),
    Found(1, 0.6, (6, 2, 14, 8), left_half_only=True, mask_iou=0.75),
    Found(0, 0.2, (8, 10, 15, 15), mask_iou=0.25),
)


@dataclass(frozen=True)
class Expected:
    """What the runtime has to make of one `Found` in a picture."""

    class_id: int
    category_id: int
    score: float
    box: tuple[float, ...]
    """x1, y1, x2, y2 in pixels."""
    mask: BoolArray


def tiny_bundle(
    folder: Path,
    *,
    family: str = yolact.NAME,
    labels: int = 2,
    input_dtype: str = "uint8",
    size: int = 64,
    fit: str = "stretch",
    found: Sequence[Found] = FOUND,
    mask_iou: bool = False,
    warp: bool = False,
    fuse: bool = False,
) -> Path:
    """Write a valid bundle into ``folder``, which is made, and return it.

    Args:
        folder: where ``model.json`` will lie.
        family: one of `OUTPUTS`.
        labels: how many: thing_0, thing_1 ... with category ids 10, 20 ...; fewer than ``found`` has classes contradict the graph.
        input_dtype: ``uint8`` or ``float32``.
        size: side of the square network input.
        fit: how a picture is laid into it.
        found: what the graph gives for every picture, best first.
        mask_iou: whether the graph also gives predicted mask IoUs, as YOLACT++ does; family yolact only.
        warp: whether there is a light graph, which finds the same and needs one number from the key frame.
        fuse: whether there is a graph for key frames that finds the same and needs one number from the key frame before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    constants = OUTPUTS[family](found, size)
    if mask_iou:
        constants[yolact.MASK_IOU] = np.array([entry.mask_iou for entry in found] + [0] * (ROWS - len(found)), np.float32)
    image = TensorSpec(IMAGE, input_dtype, (1, size, size, 3))
    carry = dict.fromkeys([KEY_STATE] * warp + [REFERENCE] * fuse, STATE)
    carried = {STATE: np.full(1, 7, np.float32)} if carry else {}
    graphs = {KEY: _graph(folder / f"{KEY}.onnx", (image,), constants | carried, carry)}
    if fuse:
        graphs[FUSE] = _graph(folder / f"{FUSE}.onnx", (image, TensorSpec(REFERENCE, "float32", (1,))), constants | carried, carry)
    if warp:
        graphs[WARP] = _graph(folder / f"{WARP}.onnx", (image, TensorSpec(KEY_STATE, "float32", (1,))), constants, {})
    bundle = Bundle(
        family=family,
        recipe="tiny",
        labels=tuple(Label(f"thing_{i}", 10 * (i + 1)) for i in range(labels)),
        input=InputSpec((size, size), input_dtype, fit),
        graphs=graphs,
        hashes={file.name: sha256(file) for file in folder.glob("*.onnx")},
        settings=SETTINGS.get(family, {}),
        made_with={"edgeseg": "test"},
    )
    (folder / MANIFEST).write_text(json.dumps(bundle.to_json()), encoding="utf-8")
    return folder


def _graph(file: Path, inputs: Sequence[TensorSpec], constants: dict[str, np.ndarray], carry: dict[str, str]) -> Graph:
    onnx.save(_model(inputs, constants), file)
    outputs = tuple(TensorSpec(name, str(array.dtype), array.shape) for name, array in constants.items())
    return Graph({"fp32": file.name}, tuple(inputs), outputs, carry)


def tiny_expected(
    image_hw: SizeHW, *, score: float = 0.3, found: Sequence[Found] = FOUND, family: str = yolact.NAME, size: int = 64
) -> list[Expected]:
    """What a tiny bundle must report for any picture of ``image_hw`` that fills its input, best first, scores strictly above ``score``."""
    expect = _EXPECTED[family]
    expected = [expect(entry, image_hw, size) for entry in found if entry.score > score]
    return _apart(expected) if family == panoptic.NAME else expected


def _expected_yolact(entry: Found, image_hw: SizeHW, size: int) -> Expected:
    height, width = image_hw
    x1, y1, x2, y2 = entry.box
    column, row = np.meshgrid(np.arange(CELLS), np.arange(CELLS))
    inside = (column >= x1 - 1) & (column < x2 + 1) & (row >= y1 - 1) & (row < y2 + 1)
    if entry.left_half_only:
        inside &= column < CELLS // 2
    soft = np.where(inside, 1 / (1 + np.exp(-8.0)), 0.0).astype(np.float32)
    mask = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    box = tuple(int(corner * side / CELLS) for corner, side in zip(entry.box, (width, height) * 2, strict=True))
    return Expected(entry.class_id, 10 * (entry.class_id + 1), entry.score, box, mask)


def _expected_maskrcnn(entry: Found, image_hw: SizeHW, size: int) -> Expected:
    """The mask is resized to the whole pixels of its grown box, on a canvas that reaches beyond the picture."""
    box = _box_in_picture(entry, image_hw, size)
    half, centre = (box[2:] - box[:2]) * np.float32(0.5) * np.float32(30 / 28), (box[2:] + box[:2]) * np.float32(0.5)
    (x1, y1), (x2, y2) = np.trunc(centre - half).astype(int), np.trunc(centre + half).astype(int) + 1
    beyond = max(image_hw)
    canvas = np.zeros((image_hw[0] + 2 * beyond, image_hw[1] + 2 * beyond), np.float32)
    values = np.pad(_mask_28(entry), 1)
    canvas[y1 + beyond : y2 + beyond, x1 + beyond : x2 + beyond] = cv2.resize(values, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    mask = canvas[beyond : beyond + image_hw[0], beyond : beyond + image_hw[1]] > 0.5
    return Expected(entry.class_id, 10 * (entry.class_id + 1), entry.score, tuple(box.tolist()), mask)


def _expected_detectron2(entry: Found, image_hw: SizeHW, size: int) -> Expected:
    """The mask is laid over its box exactly, zero beyond it."""
    box = _box_in_picture(entry, image_hw, size)
    along_y, along_x = (_tents(box[low], box[low + 2], image_hw[1 - low]) for low in (1, 0))
    mask = along_y @ _mask_28(entry) @ along_x.T >= 0.5
    return Expected(entry.class_id, 10 * (entry.class_id + 1), entry.score, tuple(box.tolist()), mask)


def _tents(low: float, high: float, side: int) -> np.ndarray:
    """(side, 28): how much each of 28 cells between two points counts at the pixels' centres, in linear interpolation."""
    position = (np.arange(side) + 0.5 - low) * (28 / (high - low)) - 0.5
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(28)))


def _expected_fasterrcnn(entry: Found, image_hw: SizeHW, size: int) -> Expected:
    x1, y1, x2, y2 = box = _box_in_picture(entry, image_hw, size)
    x, y = np.meshgrid(np.arange(image_hw[1]) + 0.5, np.arange(image_hw[0]) + 0.5)
    mask = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    return Expected(entry.class_id, 10 * (entry.class_id + 1), entry.score, tuple(box.tolist()), mask)


def _expected_panoptic(entry: Found, image_hw: SizeHW, size: int) -> Expected:
    """The mask is resized to the whole pixels of its box, corners inclusive, at network size; then the map is, to the nearest."""
    x1, y1, x2, y2 = (int(corner * size / CELLS) for corner in entry.box)
    mask = np.zeros((size, size), np.uint8)
    inside = cv2.resize(_mask_logits(entry), (x2 - x1 + 1, y2 - y1 + 1), interpolation=cv2.INTER_LINEAR) > 0
    mask[y1 : y2 + 1, x1 : x2 + 1] = inside[: size - y1, : size - x1]
    mask = cv2.resize(mask, image_hw[::-1], interpolation=cv2.INTER_NEAREST)
    return Expected(entry.class_id, 10 * (entry.class_id + 1), entry.score, (), mask > 0)


def _apart(expected: list[Expected]) -> list[Expected]:
    """A pixel belongs to the first; boxes are the smallest around what is left, and nothing left is no instance."""
    taken, left = np.zeros_like(expected[0].mask) if expected else None, []
    for entry in expected:
        mask = entry.mask & ~taken
        taken |= mask
        if mask.any():
            x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
            left.append(replace(entry, box=(x, y, x + width, y + height), mask=mask))
    return left


def _box_in_picture(entry: Found, image_hw: SizeHW, size: int) -> np.ndarray:
    ratio = np.array(image_hw[::-1] * 2, np.float32) / np.float32(size)
    return np.array(entry.box, np.float32) * np.float32(size / CELLS) * ratio


def _mask_28(entry: Found) -> np.ndarray:
    """float32 (28, 28) inside the box."""
    x1, _, x2, _ = entry.box
    column = x1 + (np.arange(28) + 0.5) * (x2 - x1) / 28
    inside = column < CELLS / 2 if entry.left_half_only else np.ones(28, bool)
    return np.tile(np.where(inside, np.float32(0.99), np.float32(0)), (28, 1))


_EXPECTED: dict[str, Callable[[Found, SizeHW, int], Expected]] = {
    yolact.NAME: _expected_yolact,
    maskrcnn.NAME: _expected_maskrcnn,
    maskrcnn.DETECTRON2_NAME: _expected_detectron2,
    maskrcnn.BOX_ONLY_NAME: _expected_fasterrcnn,
    panoptic.NAME: _expected_panoptic,
}


def _rows(found: Sequence[Found], cells: float) -> dict[str, np.ndarray]:
    """Boxes in their family's unit, of which a sixteenth of the picture has ``cells``; scores and classes."""
    boxes, scores, classes = np.zeros((ROWS, 4), np.float32), np.full(ROWS, -1, np.float32), np.zeros(ROWS, np.int64)
    for i, entry in enumerate(found):
        boxes[i], scores[i], classes[i] = np.array(entry.box) * cells, entry.score, entry.class_id
    return {yolact.BOXES: boxes, yolact.SCORES: scores, yolact.CLASSES: classes}


def _yolact_outputs(found: Sequence[Found], size: int) -> dict[str, np.ndarray]:
    coefficients = np.zeros((ROWS, 2), np.float32)
    for i, entry in enumerate(found):
        coefficients[i] = (-8, 16) if entry.left_half_only else (8, 0)
    prototypes = np.ones((CELLS, CELLS, 2), np.float32)
    prototypes[:, CELLS // 2 :, 1] = 0
    return _rows(found, 1 / CELLS) | {yolact.COEFFICIENTS: coefficients, yolact.PROTOTYPES: prototypes}


def _maskrcnn_outputs(found: Sequence[Found], size: int) -> dict[str, np.ndarray]:
    masks = np.zeros((ROWS, 28, 28), np.float32)
    for i, entry in enumerate(found):
        masks[i] = _mask_28(entry)
    return _rows(found, size / CELLS) | {maskrcnn.MASKS: masks}


def _fasterrcnn_outputs(found: Sequence[Found], size: int) -> dict[str, np.ndarray]:
    return _rows(found, size / CELLS)


def _mask_logits(entry: Found) -> np.ndarray:
    """float32 (28, 28) inside the box: 8 and -8."""
    return np.where(_mask_28(entry) > 0, np.float32(8), np.float32(-8))


def _panoptic_outputs(found: Sequence[Found], size: int) -> dict[str, np.ndarray]:
    """All labels are things, and the semantics see the first everywhere: what no instance explains is void."""
    logits = np.zeros((ROWS, 28, 28), np.float32)
    for i, entry in enumerate(found):
        logits[i] = _mask_logits(entry)
    semantic = np.ones((2, size // 4, size // 4), np.float32)
    semantic[0] = 2
    return _rows(found, size / CELLS) | {panoptic.MASK_LOGITS: logits, panoptic.SEMANTIC: semantic}


SETTINGS = {panoptic.NAME: {panoptic.VOID: True, panoptic.STUFF_AREA_LIMIT: 0}}
"""Family -> what its bundles say besides."""
OUTPUTS: dict[str, Callable[[Sequence[Found], int], dict[str, np.ndarray]]] = {
    yolact.NAME: _yolact_outputs,
    maskrcnn.NAME: _maskrcnn_outputs,
    maskrcnn.DETECTRON2_NAME: _maskrcnn_outputs,
    maskrcnn.BOX_ONLY_NAME: _fasterrcnn_outputs,
    panoptic.NAME: _panoptic_outputs,
}
"""Family -> what a graph of it gives for such detections, with an input of that side."""


def _model(inputs: Sequence[TensorSpec], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Constants plus a zero that is computed from every input, so that no backend may drop one."""
    nodes = []
    for spec in inputs:
        nodes.append(helper.make_node("Cast", [spec.name], [f"{spec.name}_float"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("ReduceMean", [f"{spec.name}_float"], [f"{spec.name}_mean"], keepdims=0))
        nodes.append(helper.make_node("Abs", [f"{spec.name}_mean"], [f"{spec.name}_size"]))
    nodes += [
        helper.make_node("Sum", [f"{spec.name}_size" for spec in inputs], ["size"]),
        helper.make_node("Neg", ["size"], ["negative"]),
        helper.make_node("Relu", ["negative"], ["zero"]),
        helper.make_node("Cast", ["zero"], ["zero_int64"], to=TensorProto.INT64),
    ]
    for name, array in constants.items():
        nodes.append(helper.make_node("Add", [f"{name}_constant", "zero_int64" if array.dtype == np.int64 else "zero"], [name]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [_value(spec.name, np.dtype(spec.dtype), spec.shape) for spec in inputs],
        [_value(name, array.dtype, array.shape) for name, array in constants.items()],
        [numpy_helper.from_array(array, f"{name}_constant") for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
