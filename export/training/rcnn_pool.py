"""RoIAlign as two small matrix products a RoI: to learn through it costs a fraction of what sampling costs on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nets.rcnn.config import STRIDES, RcnnConfig
from ..nets.rcnn.roi_align import RoiSampling, level_thresholds, roi_levels

SAMPLES_PER_SIDE = 2
"""Of an output cell."""
MASK_TARGET_CELLS = 28


def pool(levels: Sequence[Tensor], rois: Sequence[Tensor], config: RcnnConfig, cells: int) -> Tensor:
    """What `roi_align.RoiPooler` gives for all pictures' RoIs in a row: (R, C, cells, cells).

    Args:
        levels: P2 to P5, each (B, C, h, w).
        rois: of each of B pictures, float32 (r, 4) corners in pixels of the network's input.
        config: says which level a RoI is cut out of, and where its samples lie.
        cells: side of the result.
    """
    picture = torch.repeat_interleave(torch.tensor([len(boxes) for boxes in rois]))
    boxes = torch.cat(list(rois))
    level = roi_levels(boxes, level_thresholds(config))
    sampling = RoiSampling(cells, config.flavour.aligned, SAMPLES_PER_SIDE)
    order, parts = [], []
    for k, (features, stride) in enumerate(zip(levels, STRIDES, strict=True)):
        for i, of_picture in enumerate(features.unbind()):
            chosen = ((level == k) & (picture == i)).nonzero()[:, 0]
            order.append(chosen)
            parts.append(_align(of_picture, boxes[chosen] / stride, sampling))
    return torch.cat(parts)[torch.cat(order).argsort()]


def crop_masks(masks: Tensor, rois: Tensor) -> Tensor:
    """What the mask branch should say: float32 (R, 28, 28) out of masks (R, H, W), one for each RoI (R, 4) in pixels.

    Cells lie over the RoI as they do where a mask is pasted; each is the mean of four bilinear samples. Outside the picture is nothing.
    """
    height, width = masks.shape[1:]
    samples = MASK_TARGET_CELLS * SAMPLES_PER_SIDE
    steps = (torch.arange(samples) + 0.5) / samples
    x, y = (rois[:, k, None] + (rois[:, k + 2, None] - rois[:, k, None]) * steps for k in (0, 1))
    x, y = x * (2 / width) - 1, y * (2 / height) - 1
    grid = torch.stack([x[:, None, :].expand(-1, samples, -1), y[:, :, None].expand(-1, -1, samples)], dim=3)
    sampled = F.grid_sample(masks[:, None], grid, align_corners=False)
    return F.avg_pool2d(sampled, SAMPLES_PER_SIDE)[:, 0]


def _align(features: Tensor, boxes: Tensor, sampling: RoiSampling) -> Tensor:
    """(C, h, w) and boxes (R, 4) in cells of it -> (R, C, cells, cells)."""
    height, width = features.shape[1:]
    rows, columns = _weights(boxes[:, 1::2], height, sampling), _weights(boxes[:, 0::2], width, sampling)
    lines = torch.einsum("rph,chw->rcpw", rows, features)
    return lines @ columns.transpose(1, 2)[:, None]


def _weights(ends: Tensor, size: int, sampling: RoiSampling) -> Tensor:
    """(R, cells, size): the part of each of ``size`` cells in an output cell's mean, for RoIs between ``ends`` (R, 2) on one axis."""
    low = ends[:, :1] - (0.5 if sampling.aligned else 0.0)
    extent = ends[:, 1:] - ends[:, :1]
    if not sampling.aligned:
        extent = extent.clamp(min=1)
    samples = sampling.cells * SAMPLES_PER_SIDE
    position = low + extent * (torch.arange(samples) + 0.5) / samples
    inside = (position >= -1) & (position <= size)
    distance = (position.clamp(0, size - 1)[..., None] - torch.arange(size)).abs()
    hat = (1 - distance).clamp(min=0) * inside[..., None]
    return hat.unflatten(1, (sampling.cells, SAMPLES_PER_SIDE)).mean(dim=2)
