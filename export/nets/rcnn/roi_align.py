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
from .config import BOX_CELLS, MASK_CELLS, STRIDES, Flavour, RcnnConfig

_BUDGETS = {BOX_CELLS: 24, MASK_CELLS: 16}
"""Samples of an output cell at most in the static form of the adaptive rule: half as many again as a RoI of 28 x 28 feature cells
has, the largest square on P2 to P4, and more where few RoIs make them cheap."""
FAR_AWAY = (-1e5, -1e5, -1e5 + 1, -1e5 + 1)
"""Where the RoIs of other levels are moved to: all samples there are outside the map, hence exactly 0. It has an area, because OpenVINO
divides by the number of samples, which the adaptive rule takes from it; a small one, because every sample costs time."""


@dataclass(frozen=True)
class RoiSampling:
    """How samples are laid into a RoI."""

    cells: int
    """Output cells along one side."""
    aligned: bool
    ratio: int
    """Samples along one side of a cell; 0 = adaptive."""

    @property
    def budget(self) -> int:
        """Samples of one output cell at most, in the static form."""
        return self.ratio**2 or _BUDGETS[self.cells]

    @classmethod
    def of(cls, flavour: Flavour, cells: int) -> RoiSampling:
        """The rule of a code base."""
        return cls(cells, flavour.aligned, flavour.sampling_ratio)


Align = Callable[[Tensor, Tensor, float, RoiSampling], Tensor]
"""map (1, C, h, w), boxes (R, 4) in pixels, cells per pixel, sampling -> (R, C, cells, cells)."""


class _Samples(NamedTuple):
    """How many samples an output cell of each RoI has; sample k lies in row k // columns and column k % columns."""

    columns: Tensor
    """(R,) whole numbers."""
    rows: Tensor
    count: int
    """At least rows * columns of any RoI."""


def grid_align(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """See `Align`. Under the adaptive rule a cell gets at most `RoiSampling.budget` samples.

    So it is exact for RoIs that ask for no more than that; of others, the longer side is sampled less densely, evenly over the same cells.
    """
    corners = _in_cells(boxes, scale, sampling)
    columns, rows = _wanted(corners, sampling)
    budget = sampling.budget
    shorter, longer = torch.minimum(columns, rows).clamp(max=int(budget**0.5)), torch.maximum(columns, rows)
    longer = torch.minimum(longer, (budget / shorter.clamp(min=1)).floor())
    wide = columns > rows
    samples = _Samples(torch.where(wide, longer, shorter), torch.where(wide, shorter, longer), budget)
    return _sampled(features, corners, sampling, samples)


def exact_align(features: Tensor, boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """See `Align`; the adaptive rule without a limit. RoIs with equal numbers of samples are computed together."""
    found = features.new_zeros(len(boxes), features.shape[1], sampling.cells, sampling.cells)
    corners = _in_cells(boxes, scale, sampling)
    columns, rows = _wanted(corners, sampling)
    counts = (columns * rows).masked_fill(boxes[:, 2] <= FAR_AWAY[2], 0)
    for count in counts[counts > 0].unique().tolist():
        chosen = (counts == count).nonzero()[:, 0]
        found[chosen] = _sampled(features, corners[chosen], sampling, _Samples(columns[chosen], rows[chosen], int(count)))
    return found


def _in_cells(boxes: Tensor, scale: float, sampling: RoiSampling) -> Tensor:
    """Corners (R, 4) in feature cells."""
    if sampling.aligned:
        return boxes * scale - 0.5
    low = boxes[:, :2] * scale
    return torch.cat([low, low + (boxes[:, 2:] * scale - low).clamp(min=1)], dim=1)


def _wanted(corners: Tensor, sampling: RoiSampling) -> tuple[Tensor, Tensor]:
    """Samples along x and y of an output cell, (R,) each; 0 for RoIs without area."""
    if sampling.ratio:
        fixed = torch.full_like(corners[:, 0], sampling.ratio)
        return fixed, fixed
    width, height = ((side / sampling.cells).ceil().clamp(min=0) for side in sides(corners))
    return width, height


def _sampled(features: Tensor, corners: Tensor, sampling: RoiSampling, samples: _Samples) -> Tensor:
    """(R, C, cells, cells); corners (R, 4) in feature cells."""
    height, width = features.shape[2:]
    cells, count = sampling.cells, samples.count
    index = torch.arange(count, dtype=corners.dtype, device=corners.device)[None]
    row = ((index + 0.5) / samples.columns.clamp(min=1)[:, None]).floor()
    column = index - row * samples.columns[:, None]
    x, inside_x = _axis(corners[:, 0::2], width, cells, column, samples.columns)
    y, inside_y = _axis(corners[:, 1::2], height, cells, row, samples.rows)
    grid_x = ((2 * x + 1) / width - 1)[:, None].expand(-1, cells, -1, -1)
    grid_y = ((2 * y + 1) / height - 1)[:, :, None].expand(-1, -1, cells, -1)
    grid = torch.stack([grid_x, grid_y], dim=-1).reshape(1, -1, count, 2)
    number = (samples.columns * samples.rows)[:, None]
    share = (index < number) / number.clamp(min=1)
    weight = inside_x[:, None] * inside_y[:, :, None] * share[:, None, None]
    values = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
    means = (values * weight.reshape(1, 1, -1, count)).sum(dim=-1)
    return means.reshape(features.shape[1], -1, cells, cells).transpose(0, 1)


def _axis(ends: Tensor, size: int, cells: int, index: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Where samples lie on one axis, and whether that is on the map.

    Args:
        ends: (R, 2) low and high end of the RoIs in feature cells.
        size: of the map in feature cells.
        cells: output cells.
        index: (R, samples) which of the ``number`` (R,) along this axis a sample is.

    Returns:
        (R, cells, samples) feature cells, moved onto the map, and the same of 0 or 1: samples more than a cell outside do not count.
    """
    step = (ends[:, 1:] - ends[:, :1]) / cells
    within = (index + 0.5) * (step / number.clamp(min=1)[:, None])
    cell = torch.arange(cells, dtype=ends.dtype, device=ends.device)[:, None] * step[:, None]
    position = ends[:, :1, None] + cell + within[:, None]
    inside = (position >= -1) & (position <= size)
    return position.clamp(0, size - 1), inside.to(ends.dtype)


class LevelPooler:
    """Cuts RoIs out of the level that fits their size. It has no weights.

    Every level is asked for all RoIs, with those of other levels moved far outside, and the four results are added: static shapes,
    and to the bit what picking the level gives.
    """

    def __init__(self, sampling: RoiSampling, thresholds: Sequence[float], align: Align) -> None:
        self.align = align
        self.sampling = sampling
        self.thresholds = thresholds

    def __call__(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """P2 to P5 of one picture, each (1, C, h, w), and boxes (R, 4) in pixels of the resized picture -> (R, C, cells, cells)."""
        level = roi_levels(boxes, self.thresholds)
        if not self.sampling.ratio:
            # Under the adaptive rule those without area are 0 on every level.
            level = torch.where(torch.minimum(*sides(boxes)) > 0, level, -1)
        away = boxes.new_tensor(FAR_AWAY)
        parts = [
            self.align(features, torch.where((level == k)[:, None], boxes, away), 1 / stride, self.sampling)
            for k, (features, stride) in enumerate(zip(levels, STRIDES, strict=True))
        ]
        return torch.stack(parts).sum(dim=0)


class RoiPooler(LevelPooler):
    """With the sampling and the levels of a code base."""

    def __init__(self, config: RcnnConfig, cells: int, align: Align = grid_align) -> None:
        super().__init__(RoiSampling.of(config.flavour, cells), level_thresholds(config), align)


def level_thresholds(config: RcnnConfig) -> tuple[float, ...]:
    """Square roots of area from which on a RoI belongs to P3, P4, P5."""
    flavour = config.flavour
    return tuple(config.level_side * (2 ** (k - flavour.level_eps_outside) - flavour.level_eps_inside) for k in (-1, 0, 1))


def roi_levels(boxes: Tensor, thresholds: Sequence[float]) -> Tensor:
    """int64 (R,): 0 for P2 to 3 for P5."""
    width, height = sides(boxes)
    root = (width * height).sqrt()
    return torch.stack([root >= threshold for threshold in thresholds]).sum(dim=0)
