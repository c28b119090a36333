"""Deterministic weights for Mask R-CNN and Faster R-CNN state dicts: the source of `benchmarks.fill_weights` with other gains."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from edgeseg.types import AnyArray, F64Array

from .fill_weights import first, normal, uniform

# Deviation of a weight = gain / sqrt(fan-in); the first matching rule wins, else sqrt(2).
_GAINS = (
    (r"^backbone\.body\..*downsample\.0\.", 1.0),
    (r"^backbone\.fpn\.inner_blocks\.", 0.5),
    # Deeper levels are louder, so that RoIs spread over the levels.
    (r"^backbone\.fpn\.layer_blocks\.0\.", 0.4),
    (r"^backbone\.fpn\.layer_blocks\.1\.", 0.7),
    (r"^backbone\.fpn\.layer_blocks\.2\.", 1.2),
    (r"^backbone\.fpn\.layer_blocks\.3\.", 2.4),
    (r"^rpn\.head\.cls_logits\.", 2.2),
    (r"^rpn\.head\.bbox_pred\.", 0.35),
    (r"^roi_heads\.box_predictor\.cls_score\.", 3.5),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", 1.5),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", 4.0),
)
# Features are never negative: without their means removed these filters would act as one constant each.
_CENTRED = (r"^rpn\.head\.cls_logits\.|^roi_heads\.box_head\.(fc6|fc7|5)\.|^roi_heads\.box_predictor\.|mask_fcn_logits\.",)
_RESIDUAL_GAIN = 0.25
BACKGROUND = "background"
"""Key of the overrides that holds what is added to the background's logit."""
_V1 = {BACKGROUND: 13.5}
_V2 = {
    BACKGROUND: 16.5,
    r"cls_score\.weight$": 6.0,
    r"layer_blocks\.0\.0\.weight$": 0.25,
    r"layer_blocks\.1\.0\.weight$": 0.35,
}
OVERRIDES = {
    "maskrcnn_resnet50_fpn": _V1,
    "maskrcnn_resnet50_fpn_v2": _V2,
    "fasterrcnn_resnet50_fpn": _V1,
    "fasterrcnn_resnet50_fpn_v2": _V2,
}
"""Model -> pattern of names -> gain that comes before the common ones."""


def fill_rcnn(shapes: Mapping[str, Sequence[int]], overrides: Mapping[str, float]) -> dict[str, Tensor]:
    """A filled tensor for every official parameter name: float32, batch counters int64."""
    return {name: torch.from_numpy(_fill(name, tuple(shape), overrides)) for name, shape in shapes.items()}


def _fill(name: str, shape: tuple[int, ...], overrides: Mapping[str, float]) -> AnyArray:
    size = math.prod(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_mean"):
        values = 0.1 * normal(name, size)
    elif name.endswith("running_var"):
        values = uniform(name, size, 0.5, 1.5)
    elif name.endswith(".bias"):
        values = 0.05 * normal(name, size)
        if name.endswith("cls_score.bias"):
            values[0] += overrides[BACKGROUND]
    elif len(shape) == 1:
        values = uniform(name, size, 0.8, 1.2) * (_RESIDUAL_GAIN if name.endswith("bn3.weight") else 1.0)
    else:
        values = _kernel(name, shape, overrides)
    return values.reshape(shape).astype(np.float32)


def _kernel(name: str, shape: tuple[int, ...], overrides: Mapping[str, float]) -> F64Array:
    # A transposed 2x2 convolution with stride 2 has one tap for each output.
    fan_in = shape[0] if "conv5_mask" in name else math.prod(shape[1:])
    rules = [rule for rule in overrides.items() if rule[0] != BACKGROUND]
    values = normal(name, math.prod(shape)) * (first((*rules, *_GAINS), name, math.sqrt(2.0)) / math.sqrt(fan_in))
    if any(re.search(pattern, name) for pattern in _CENTRED):
        values = values.reshape(shape[0], -1)
        values = values - values.mean(axis=1, keepdims=True)
    return values
