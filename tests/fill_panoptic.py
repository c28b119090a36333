"""Deterministic weights for UPSNet, VPSNet and FlowNet2 state dicts: the source of `benchmarks.fill_weights` with other gains.

Values depend on the official name and the shape alone, and are those that acceptance checks against the originals use. FlowNet2's
are filled under their names inside VPSNet, with ``flownet2.`` before them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.fill_weights import first, normal, uniform
from edgeseg.types import AnyArray, F64Array

_HE = math.sqrt(2.0)
# Deviation of a weight = gain / sqrt(fan-in); the first matching rule wins, else sqrt(2).
_GAINS = (
    # UPSNet's input is not divided by its deviation.
    (r"resnet_backbone\.conv1\.conv1\.weight$", _HE / 70.0),
    (r"(rcnn\.cls_score|bbox_head\.fc_cls)\.weight$", 3.5),
    (r"(rcnn\.bbox_pred|bbox_head\.fc_reg)\.weight$", 1.0),
    (r"(rpn\.cls_score|rpn_head\.rpn_cls)\.weight$", 0.7),
    (r"(rpn\.bbox_pred|rpn_head\.rpn_reg)\.weight$", 0.3),
    (r"(mask_branch\.mask_score|mask_head\.conv_logits)\.weight$", 4.0),
    (r"(fcn_head\.score|panopticFPN\.conv_pred\.conv)\.weight$", 5.0),
    (r"conv(2)?_offset\.weight$", 0.7),
    (r"\.downsample\.0\.weight$", 1.0),
    (r"(fpn\.fpn_p\d_1x1|fpn\.fpn_gap|neck\.lateral_convs\.\d\.conv)\.weight$", 1.0),
    (r"(fpn\.fpn_p\d|neck\.fpn_convs\.\d\.conv)\.weight$", 1.0),
    (r"track_head\.fcs\.1\.weight$", 0.06),
    (r"tcea_fusion\.tAtt_[12]\.weight$", 0.2),
    (r"liteflownet\.flow_estimator\.convs\.3\.weight$", 0.7),
    (r"flownet2\.flownetfusion\.predict_flow0\.weight$", 1.0),
    (r"flownet2\..*predict_flow\d\.weight$", 0.5),
    (r"flownet2\..*upsampled_flow.*\.weight$", 0.7),
)
# Filters that read features which are never negative keep a tenth of their mean, so that they do not act as one constant each.
_CENTRED = re.compile(
    r"(rcnn\.cls_score|bbox_head\.fc_cls|fcn_head\.score|conv_pred\.conv|mask_score|conv_logits|rpn\.cls_score|rpn_cls|tAtt_[12]"
    r"|track_head\.fcs\.[01]|rcnn\.fc6\.0|shared_fcs\.0)\.weight$"
)
_TRANSPOSED = re.compile(r"(deconv\d\.0|mask_deconv1\.0|mask_head\.upsample|upsampled_flow\d_to_\d)\.weight$")
_MANY_CLASSES = 80
_RESIDUAL_GAIN = 0.25


def fill_panoptic(shapes: Mapping[str, Sequence[int]], prefix: str = "") -> dict[str, Tensor]:
    """A filled tensor for every official parameter name, filled under ``prefix`` + name: float32, batch counters int64."""
    return {name: torch.from_numpy(_fill(prefix + name, tuple(shape))) for name, shape in shapes.items()}


def _fill(name: str, shape: tuple[int, ...]) -> AnyArray:
    size = math.prod(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_mean"):
        values = 0.1 * normal(name, size)
    elif name.endswith("running_var"):
        values = uniform(name, size, 0.5, 1.5)
    elif name.endswith(".bias"):
        values = _bias(name, size)
    elif len(shape) == 1:
        values = uniform(name, size, 0.8, 1.2) * (_RESIDUAL_GAIN if name.endswith(".bn3.weight") else 1.0)
    else:
        values = _kernel(name, shape)
    return np.ascontiguousarray(values.reshape(shape).astype(np.float32))


def _bias(name: str, size: int) -> F64Array:
    """The background of the box head is favoured, so that few RoIs fire."""
    values: F64Array = 0.05 * normal(name, size)
    if name.endswith("rcnn.cls_score.bias"):
        values[0] += 8.0 if size > _MANY_CLASSES else 12.0
    if name.endswith("bbox_head.fc_cls.bias"):
        values[0] += 12.5
    return values


def _kernel(name: str, shape: tuple[int, ...]) -> F64Array:
    # A transposed convolution with stride 2 has a quarter of its taps for each output.
    fan_in = shape[0] * math.prod(shape[2:]) / 4.0 if _TRANSPOSED.search(name) else math.prod(shape[1:])
    values = normal(name, math.prod(shape)) * (first(_GAINS, name, _HE) / math.sqrt(float(fan_in)))
    if name.endswith("rcnn.cls_score.weight") and shape[0] > _MANY_CLASSES:
        values = values * 0.4
    if _CENTRED.search(name):
        values = values.reshape(shape[0], -1)
        values = values - 0.9 * values.mean(axis=1, keepdims=True)
    return values
