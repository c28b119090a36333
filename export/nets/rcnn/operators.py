"""RoIAlign and box selection as single operators, which an exported graph holds as ONNX's RoiAlign and NonMaxSuppression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .roi_align import RoiSampling, exact_align
from .select import DROPPED, Selected, exact_select


@torch.library.custom_op("edgeseg::roi_align", mutates_args=())
def _roi_align(features: Tensor, boxes: Tensor, scale: float, cells: int, aligned: bool, ratio: int) -> Tensor:
    return exact_align(features, boxes, scale, RoiSampling(cells, aligned, ratio))


@_roi_align.register_fake
def _(features: Tensor, boxes: Tensor, _scale: float, cells: int, *_rule: object) -> Tensor:
    return features.new_empty(boxes.shape[0], features.shape[1], cells, cells)


@torch.library.custom_op("edgeseg::select_boxes", mutates_args=())
def _select_boxes(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> tuple[Tensor, Tensor]:
    found = exact_select(boxes, ranks, iou, count)
    return found.ranks, found.index


@_select_boxes.register_fake
def _(_boxes: Tensor, ranks: Tensor, _iou: float, count: int) -> tuple[Tensor, Tensor]:
    return ranks.new_empty(count), ranks.new_empty(count, dtype=torch.int64)


def op_align(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """`exact_align` as one operator."""
    found: Tensor = _roi_align(features, boxes, scale, sampling.cells, sampling.aligned, sampling.ratio)
    return found


def op_select(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> Selected:
    """`exact_select` as one operator."""
    return Selected(*_select_boxes(boxes, ranks, iou, count))


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """How `torch.onnx.export` writes the operators down (its ``custom_translation_table``)."""
    return {torch.ops.edgeseg.roi_align.default: _onnx_roi_align, torch.ops.edgeseg.select_boxes.default: _onnx_select_boxes}


def _onnx_roi_align(features: Any, boxes: Any, scale: float, cells: int, aligned: bool, ratio: int) -> Any:
    op = _onnx()
    return op.RoiAlign(
        features,
        boxes,
        op.Constant(value_ints=[0] * boxes.shape[0]),
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        mode="avg",
        output_height=cells,
        output_width=cells,
        sampling_ratio=ratio,
        spatial_scale=scale,
    )


def _onnx_select_boxes(boxes: Any, ranks: Any, iou: float, count: int) -> Any:
    """NonMaxSuppression gives as many rows as it finds; rows without a box behind them make the sorted result static."""
    op = _onnx()
    limit, threshold, floor = op.Constant(value_ints=[count]), op.Constant(value_floats=[iou]), op.Constant(value_floats=[DROPPED / 2])
    kept = op.NonMaxSuppression(boxes, op.Unsqueeze(ranks, op.Constant(value_ints=[1])), limit, threshold, floor)
    group, place = (op.Gather(kept, op.Constant(value_int=column), axis=1) for column in (0, 2))
    index = op.Add(op.Mul(group, op.Constant(value_int=ranks.shape[1])), place)
    found = op.Gather(op.Reshape(ranks, op.Constant(value_ints=[-1])), index)
    found = op.Concat(found, op.Constant(value_floats=[DROPPED] * count), axis=0)
    best, order = op.TopK(found, limit, axis=0)
    return best, op.Gather(op.Concat(index, op.Constant(value_ints=[0] * count), axis=0), order)


def _onnx() -> Any:
    from onnxscript import opset18

    return opset18
