"""What RoIs of a whole batch see and should say, with static shapes: `rcnn_pool` without its loop over pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nets.panoptic.config import PanopticConfig
from ..nets.rcnn.boxes import sides
from ..nets.rcnn.config import STRIDES
from .rcnn_pool import MASK_TARGET_CELLS, SAMPLES_PER_SIDE

_EPS = 1e-6


def pool(levels: Sequence[Tensor], rois: Tensor, config: PanopticConfig, cells: int) -> Tensor:
    """Features of every RoI out of the level that fits its size: (B * R, C, cells, cells).

    Args:
        levels: P2 to P5, each (B, C, h, w).
        rois: float32 (B, R, 4) in pixels of the network's input; they end past their last pixel.
        config: says which level a RoI is cut out of, and where its samples lie.
        cells: side of the result.
    """
    width, height = sides(rois)
    root = (width * height).clamp(min=0).sqrt()
    level = (2 + torch.log2(root / config.level_side + _EPS)).floor().clamp(0, len(STRIDES) - 1)
    total = 0
    for k, (features, stride) in enumerate(zip(levels, STRIDES, strict=True)):
        total = total + _cut(features.float(), _ends(rois, stride, config), cells) * (level == k).flatten()[:, None, None, None]
    return total


def _ends(rois: Tensor, stride: int, config: PanopticConfig) -> Tensor:
    """(B, R, 4): low x, low y, width, height in cells of a level."""
    if config.flavour.roi_ends_inclusive:
        return torch.cat([rois[..., :2], rois[..., 2:] - rois[..., :2]], dim=-1) / stride
    extent = (rois[..., 2:] - 1 - rois[..., :2]) / stride
    return torch.cat([rois[..., :2] / stride, extent.clamp(min=1)], dim=-1)


def _cut(features: Tensor, ends: Tensor, cells: int) -> Tensor:
    """RoIAlign of one level, two samples along each side of a cell: (B * R, C, cells, cells)."""
    (batch, channels, height, width), count = features.shape, ends.shape[1]
    samples = cells * SAMPLES_PER_SIDE
    steps = _steps(samples, ends.device)
    x, y = (ends[..., k, None] + ends[..., k + 2, None] * steps for k in (0, 1))
    x, y = ((2 * place.clamp(0, size - 1) + 1) / size - 1 for place, size in ((x, width), (y, height)))
    grid = torch.stack([x[:, :, None].expand(-1, -1, samples, -1), y[..., None].expand(-1, -1, -1, samples)], dim=-1)
    found = F.grid_sample(features, grid.flatten(1, 2), padding_mode="border", align_corners=False)
    found = F.avg_pool2d(found, SAMPLES_PER_SIDE).reshape(batch, channels, count, cells, cells)
    return found.transpose(1, 2).flatten(0, 1)


def mask_targets(owners: Tensor, slots: Tensor, rois: Tensor) -> Tensor:
    """What the mask branch should say: float32 (B, R, 28, 28).

    Cells lie over the RoI as they do where a mask is pasted; each is the mean of four pixels.

    Args:
        owners: `Truths.owners`, (B, H, W).
        slots: int64 (B, R), the object of each RoI.
        rois: float32 (B, R, 4), as for `pool`.
    """
    height, width = owners.shape[1:]
    steps = _steps(MASK_TARGET_CELLS * SAMPLES_PER_SIDE, rois.device)
    x, y = (rois[..., k, None] + (rois[..., k + 2] - rois[..., k])[..., None] * steps for k in (0, 1))
    x, y = (place.floor().clamp(0, size - 1).long() for place, size in ((x, width), (y, height)))
    pixels = y[..., :, None] * width + x[..., None, :]
    seen = owners.flatten(1).gather(1, pixels.flatten(1)).reshape(pixels.shape)
    return F.avg_pool2d((seen == slots[..., None, None] + 1).float(), SAMPLES_PER_SIDE)


def pasted(masks: Tensor, rois: Tensor, size: Sequence[int], stride: int) -> tuple[Tensor, Tensor]:
    """Masks (B, R, 28, 28) over their RoIs (B, R, 4): (B, R, h, w) on a map with ``stride`` pixels a cell, and 1 inside the RoIs there."""
    x, y = ((torch.arange(n, device=rois.device) + 0.5) * stride for n in (size[1], size[0]))
    low, extent = rois[..., :2], (rois[..., 2:] - rois[..., :2]).clamp(min=1)
    u, v = ((place - low[..., k, None]) / extent[..., k, None] for k, place in enumerate((x, y)))
    inside = ((v >= 0) & (v <= 1))[..., :, None] & ((u >= 0) & (u <= 1))[..., None, :]
    grid = torch.stack(torch.broadcast_tensors(2 * u[..., None, :] - 1, 2 * v[..., :, None] - 1), dim=-1)
    found = F.grid_sample(masks.flatten(0, 1)[:, None], grid.flatten(0, 1), padding_mode="border", align_corners=False)
    return found[:, 0].unflatten(0, masks.shape[:2]) * inside, inside.float()


def _steps(samples: int, device: torch.device) -> Tensor:
    return (torch.arange(samples, device=device) + 0.5) / samples
