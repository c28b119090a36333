"""What a graph for CPUs holds in ONNX's own operators: RoiAlign, NonMaxSuppression, and a mask branch that runs for found rows alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .detections import NO_DETECTION, Detections
from .roi_align import RoiSampling, exact_align
from .select import DROPPED, Selected, exact_select

_NAMESPACE = __name__.partition(".")[0]
"""The package's own name: it may be imported under two (`export` in a checkout), and PyTorch frees an operator that is defined twice."""
_INT64 = 7
"""ONNX's number of this dtype."""


@torch.library.custom_op(f"{_NAMESPACE}::roi_align", mutates_args=())
def _roi_align(features: Tensor, boxes: Tensor, scale: float, cells: int, aligned: bool, ratio: int) -> Tensor:
    return exact_align(features, boxes, scale, RoiSampling(cells, aligned, ratio))


@_roi_align.register_fake
def _(features: Tensor, boxes: Tensor, _scale: float, cells: int, *_rule: object) -> Tensor:
    return features.new_empty(boxes.shape[0], features.shape[1], cells, cells)


@torch.library.custom_op(f"{_NAMESPACE}::select_boxes", mutates_args=())
def _select_boxes(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> tuple[Tensor, Tensor]:
    found = exact_select(boxes, ranks, iou, count)
    return found.ranks, found.index


@_select_boxes.register_fake
def _(_boxes: Tensor, ranks: Tensor, _iou: float, count: int) -> tuple[Tensor, Tensor]:
    return ranks.new_empty(count), ranks.new_empty(count, dtype=torch.int64)


@torch.library.custom_op(f"{_NAMESPACE}::found_rows", mutates_args=())
def _found_rows(boxes: Tensor, classes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    count = max(int((scores > NO_DETECTION).sum()), 1)
    return boxes[:count].clone(), classes[:count].clone()


@_found_rows.register_fake
def _(boxes: Tensor, classes: Tensor, _scores: Tensor) -> tuple[Tensor, Tensor]:
    count = torch.library.get_ctx().new_dynamic_size(min=1, max=boxes.shape[0])
    return boxes.new_empty(count, 4), classes.new_empty(count)


@torch.library.custom_op(f"{_NAMESPACE}::with_rows", mutates_args=())
def _with_rows(x: Tensor, count: int) -> Tensor:
    return torch.cat([x, x.new_zeros(count - len(x), *x.shape[1:])])


@_with_rows.register_fake
def _(x: Tensor, count: int) -> Tensor:
    return x.new_empty(count, *x.shape[1:])


def op_of_found(found: Detections, compute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """See `of_all_rows`; only rows with a detection are computed, one at least, and the others are 0."""
    rows: Tensor = _with_rows(compute(*_found_rows(found.boxes, found.classes, found.scores)), len(found.scores))
    return rows


def op_align(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """`exact_align` as one operator."""
    found: Tensor = _roi_align(features, boxes, scale, sampling.cells, sampling.aligned, sampling.ratio)
    return found


def op_select(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> Selected:
    """`exact_select` as one operator."""
    return Selected(*_select_boxes(boxes, ranks, iou, count))


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """How `torch.onnx.export` writes the operators down (its ``custom_translation_table``)."""
    operators = getattr(torch.ops, _NAMESPACE)
    return {
        operators.roi_align.default: _onnx_roi_align,
        operators.select_boxes.default: _onnx_select_boxes,
        operators.found_rows.default: _onnx_found_rows,
        operators.with_rows.default: _onnx_with_rows,
    }


def _onnx_roi_align(features: Any, boxes: Any, scale: float, cells: int, aligned: bool, ratio: int) -> Any:
    op = _onnx()
    return op.RoiAlign(
        features,
        boxes,
        op.Expand(op.Constant(value_int=0), op.Shape(boxes, start=0, end=1)),
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


def _onnx_found_rows(boxes: Any, classes: Any, scores: Any) -> tuple[Any, Any]:
    op = _onnx()
    found = op.Cast(op.Greater(scores, op.Constant(value_float=NO_DETECTION)), to=_INT64)
    first, one = op.Constant(value_ints=[0]), op.Constant(value_ints=[1])
    end = op.Max(op.ReduceSum(found, first, keepdims=1), one)
    return op.Slice(boxes, first, end, first), op.Slice(classes, first, end, first)


def _onnx_with_rows(x: Any, count: int) -> Any:
    """The last operator tells the library what it cannot work out: that the shape is static again."""
    op = _onnx()
    inner = [int(side) for side in x.shape[1:]]
    missing = op.Sub(op.Constant(value_ints=[count]), op.Shape(x, start=0, end=1))
    before, other = [0] * (len(inner) + 1), [0] * len(inner)
    padded = op.Pad(x, op.Concat(op.Constant(value_ints=before), missing, op.Constant(value_ints=other), axis=0))
    return op.Reshape(padded, op.Constant(value_ints=[count, *inner]))


def _onnx() -> Any:
    from onnxscript import opset18

    return opset18
