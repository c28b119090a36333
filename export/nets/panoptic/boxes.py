"""Boxes whose corner is their last pixel.

All between the anchors and the outputs is computed with *ends* instead, the corner plus one pixel: widths, overlaps and offsets are then
those of any other box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.types import SizeHW


def with_ends(boxes: Tensor) -> Tensor:
    """Corners (..., 4) -> x1, y1 and the ends x2 + 1, y2 + 1."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] + 1], dim=-1)


def with_corners(boxes: Tensor) -> Tensor:
    """The reverse of `with_ends`."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - 1], dim=-1)


def clip(boxes: Tensor, size_hw: SizeHW) -> Tensor:
    """Boxes (..., 4) with ends, cut to a picture of that size: no corner is beyond its last pixel."""
    height, width = size_hw
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    cut = (x1.clamp(0, width - 1), y1.clamp(0, height - 1), x2.clamp(1, width), y2.clamp(1, height))
    return torch.stack(cut, dim=-1)
