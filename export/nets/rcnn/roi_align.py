"""RoIAlign: fixed-size features of boxes out of a pyramid.

* `grid_align`: GridSample and a mean; differentiable, with static shapes, and the form that TensorRT builds.
* `exact_align`: the same with as many samples as each RoI asks for. As an operator it becomes ONNX's RoiAlign (`operators`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import sides
from .config import STRIDES, Flavour, RcnnConfig

SAMPLES_MAX = 4
"""Samples along one side of an output cell in the static form of the adaptive rule."""
_FAR_AWAY = -1e5
"""Where the RoIs of other levels are moved to: all samples there are outside the map, hence exactly 0."""


@dataclass(frozen=True)
class RoiSampling:
    """How samples are laid into a RoI."""

    cells: int
    """Output cells along one side."""
    aligned: bool
    ratio: int
    """Samples along one side of a cell; 0 = adaptive."""

    @classmethod
    def of(cls, flavour: Flavour, cells: int) -> RoiSampling:
        """The rule of a code base."""
        return cls(cells, flavour.aligned, flavour.sampling_ratio)


Align = Callable[[Tensor, Tensor, float, RoiSampling], Tensor]
"""map (1, C, h, w), boxes (R, 4) in pixels, cells per pixel, sampling -> (R, C, cells, cells)."""


class _Axis(NamedTuple):
    """Samples along one axis of every RoI."""

    position: Tensor
    """(R, cells * samples) in feature cells, inside the map."""
    weight: Tensor
    """(R, cells * samples): 0 outside the map and for unused samples; their mean over an output cell is 1 when all lie inside."""


def grid_align(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """See `Align`. A RoI of the adaptive rule that asks for more than `SAMPLES_MAX` samples a side gets that many.

    That is, the adaptive rule is met exactly by RoIs of up to cells * SAMPLES_MAX feature cells a side; larger ones are averages
    of fewer samples, evenly spaced over the same cells.
    """
    samples = sampling.ratio or SAMPLES_MAX
    return _sampled(features, _in_cells(boxes, scale, sampling), sampling, (samples, samples))


def exact_align(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """See `Align`; the adaptive rule without a limit. RoIs with equal numbers of samples are computed together."""
    found = features.new_zeros(len(boxes), features.shape[1], sampling.cells, sampling.cells)
    corners = _in_cells(boxes, scale, sampling)
    count = torch.full((len(boxes), 2), sampling.ratio)
    if sampling.ratio == 0:
        count = ((corners[:, 2:] - corners[:, :2]) / sampling.cells).ceil().long()
    count[boxes[:, 2] <= _FAR_AWAY] = 0
    for columns, rows in count.unique(dim=0).tolist():
        if columns > 0 and rows > 0:
            chosen = (count == torch.tensor([columns, rows])).all(dim=1).nonzero()[:, 0]
            found[chosen] = _sampled(features, corners[chosen], sampling, (rows, columns))
    return found


def _sampled(features: Tensor, corners: Tensor, sampling: RoiSampling, samples: tuple[int, int]) -> Tensor:
    """(R, C, cells, cells) from at most ``samples`` along y and x of an output cell; corners (R, 4) in feature cells."""
    rows, columns = features.shape[2:]
    x = _axis(corners[:, 0], corners[:, 2], columns, sampling, samples[1])
    y = _axis(corners[:, 1], corners[:, 3], rows, sampling, samples[0])
    grid_x = ((2 * x.position + 1) / columns - 1)[:, None, :].expand(-1, y.position.shape[1], -1)
    grid_y = ((2 * y.position + 1) / rows - 1)[:, :, None].expand(-1, -1, x.position.shape[1])
    width = sampling.cells * samples[1]
    grid = torch.stack([grid_x, grid_y], dim=-1).reshape(1, -1, width, 2)
    weight = (y.weight[:, :, None] * x.weight[:, None, :]).reshape(1, 1, -1, width)
    values = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False) * weight
    means = F.avg_pool2d(values, samples)
    return means.reshape(features.shape[1], -1, sampling.cells, sampling.cells).transpose(0, 1)


def _in_cells(boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """Corners (R, 4) in feature cells."""
    return boxes * scale - (0.5 if sampling.aligned else 0.0)


def _axis(low: Tensor, high: Tensor, size: int, sampling: RoiSampling, samples: int) -> _Axis:
    """At most ``samples`` in each output cell between ``low`` and ``high`` (R,), on an axis of ``size`` feature cells."""
    extent = high - low if sampling.aligned else (high - low).clamp(min=1)
    step = extent / sampling.cells
    used = step.ceil().clamp(0, samples) if sampling.ratio == 0 else torch.full_like(step, samples)
    index = torch.arange(samples, dtype=low.dtype, device=low.device)
    within = (index + 0.5) * (step / used.clamp(min=1))[:, None]
    cell = torch.arange(sampling.cells, dtype=low.dtype, device=low.device)[:, None] * step[:, None, None]
    position = (low[:, None, None] + cell + within[:, None, :]).flatten(1)
    share = (index < used[:, None]) * (samples / used.clamp(min=1))[:, None]
    inside = (position >= -1) & (position <= size)
    return _Axis(position.clamp(0, size - 1), inside * share.repeat(1, sampling.cells))


class RoiPooler:
    """Cuts RoIs out of the level that fits their size. It has no weights.

    Every level is asked for all RoIs, with those of other levels moved far outside, and the four results are added: static shapes,
    and to the bit what picking the level gives.
    """

    def __init__(self, config: RcnnConfig, cells: int, align: Align = grid_align) -> None:
        self.align = align
        self.sampling = RoiSampling.of(config.flavour, cells)
        self.thresholds = level_thresholds(config)

    def __call__(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """P2 to P5 of one picture, each (1, C, h, w), and boxes (R, 4) in pixels of the resized picture -> (R, C, cells, cells)."""
        level = roi_levels(boxes, self.thresholds)
        parts = [
            self.align(features, torch.where((level == k)[:, None], boxes, _FAR_AWAY), 1 / stride, self.sampling)
            for k, (features, stride) in enumerate(zip(levels, STRIDES, strict=True))
        ]
        return torch.stack(parts).sum(dim=0)


def level_thresholds(config: RcnnConfig) -> tuple[float, ...]:
    """Square roots of area from which on a RoI belongs to P3, P4, P5."""
    flavour = config.flavour
    return tuple(config.level_side * (2 ** (k - flavour.level_eps_outside) - flavour.level_eps_inside) for k in (-1, 0, 1))


def roi_levels(boxes: Tensor, thresholds: Sequence[float]) -> Tensor:
    """int64 (R,): 0 for P2 to 3 for P5."""
    width, height = sides(boxes)
    root = (width * height).sqrt()
    return torch.stack([root >= threshold for threshold in thresholds]).sum(dim=0)
