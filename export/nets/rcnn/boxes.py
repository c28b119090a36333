"""Offsets and boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgeseg.types import SizeHW

RPN_WEIGHTS = (1.0, 1.0)
ROI_WEIGHTS = (10.0, 5.0)
"""What offsets of the centre and of the size are divided by."""
GROWTH_MAX = math.log(1000 / 16)
"""dw and dh above this are cut to it."""


def decode(offsets: Tensor, boxes: Tensor, weights: tuple[float, float], growth_min: float | None = None) -> Tensor:
    """Corners (..., 4) of boxes (..., 4, corners too) moved by offsets (..., 4: dx, dy, dw, dh); dw and dh are at least ``growth_min``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    size = high - low
    centre = low + 0.5 * size
    centre = offsets[..., :2] / weights[0] * size + centre
    size = torch.exp((offsets[..., 2:] / weights[1]).clamp(min=growth_min, max=GROWTH_MAX)) * size
    return torch.cat([centre - 0.5 * size, centre + 0.5 * size], dim=-1)


def clip(boxes: Tensor, size_hw: SizeHW) -> Tensor:
    """Boxes (..., 4) cut to a picture of that size."""
    height, width = size_hw
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Widths and heights (...) of boxes (..., 4)."""
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
