"""VPSNet's fuse module: features of an earlier frame, warped to this one, add to its pyramid (Kim et al., CVPR 2020).

The key names are the official ones under ``extra_neck``. H, W are the size of the finest level.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .correlation import correlation

_RADIUS = 4
_SLOPE = 0.1


def warped(features: Tensor, flow: Tensor) -> Tensor:
    """Backward warp: (B, C, H, W) of the earlier frame -> of this one; 0 where the flow (B, 2, H, W), x and y in cells, leaves the map.

    The grid spans -1 to 1 between the centres of the outermost cells, but is read as if between their outer edges, so that no flow blurs
    and shrinks the map a little. The official weights were trained with that.
    """
    height, width = features.shape[-2:]
    x = torch.linspace(-1, 1, width, device=features.device).reshape(1, 1, width) + flow[:, 0] / ((width - 1) / 2)
    y = torch.linspace(-1, 1, height, device=features.device).reshape(1, height, 1) + flow[:, 1] / ((height - 1) / 2)
    return F.grid_sample(features, torch.stack((x, y), dim=-1), mode="bilinear", padding_mode="zeros", align_corners=False)


def strongest(x: Tensor, size: Sequence[int]) -> Tensor:
    """`F.adaptive_max_pool2d` in operators that ONNX has for every size: (B, C, H, W) -> (B, C, *size)."""
    height, width = x.shape[-2:]
    if height % size[0] == 0 and width % size[1] == 0:
        cell = (height // size[0], width // size[1])
        return x if cell == (1, 1) else F.max_pool2d(x, cell, cell)
    return _strongest_of_axis(_strongest_of_axis(x, 2, size[0]), 3, size[1])


def _strongest_of_axis(x: Tensor, axis: int, size: int) -> Tensor:
    """Cell i of ``size`` covers the cells from floor(i * n / size) to below ceil((i + 1) * n / size)."""
    length = x.shape[axis]
    cell = torch.arange(size, device=x.device)
    starts = torch.div(cell * length, size, rounding_mode="floor")
    ends = torch.div((cell + 1) * length + size - 1, size, rounding_mode="floor")
    # One more than needed at most; the last cell then counts twice.
    reach = torch.arange(-(-length // size) + 1, device=x.device)
    covered = torch.minimum(starts[:, None] + reach, ends[:, None] - 1)
    return x.index_select(axis, covered.flatten()).unflatten(axis, covered.shape).amax(axis + 1)


def _activated(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.LeakyReLU(_SLOPE))


class FlowEstimator(nn.Module):
    """Convolutions from what is known of two maps to the flow that is left between them."""

    def __init__(self, in_channels: int, wide: int, narrow: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _activated(nn.Conv2d(in_channels, wide, 3, padding=1)),
            _activated(nn.Conv2d(wide, wide, 3, padding=1)),
            _activated(nn.Conv2d(wide, narrow, 3, padding=1)),
            nn.Conv2d(narrow, 2, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 2, H, W)."""
        flow: Tensor = self.convs(x)
        return flow


class LiteFlowNetCorr(nn.Module):
    """Finds the flow that a first warp has left, from both maps, their correlation and the first flow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.flow_estimator = FlowEstimator(channels + (2 * _RADIUS + 1) ** 2 + 2, channels // 4, channels // 8)

    def forward(self, features: Tensor, moved: Tensor, flow: Tensor) -> Tensor:
        """Maps (B, C, H, W) of this frame and of the earlier one, warped by ``flow`` (B, 2, H, W) -> (B, 2, H, W) in cells."""
        costs = correlation(features, moved, _RADIUS)
        remaining: Tensor = self.flow_estimator(torch.cat((features, costs, flow), dim=1))
        return remaining


class TceaFusion(nn.Module):
    """Weighs two frames by how they agree with the first, and joins them under spatial attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tAtt_1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.tAtt_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.fea_fusion = nn.Conv2d(2 * channels, channels, 1)
        self.sAtt_1 = nn.Conv2d(2 * channels, channels, 1)
        self.sAtt_2 = nn.Conv2d(2 * channels, channels, 1)
        self.sAtt_3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.sAtt_4 = nn.Conv2d(channels, channels, 3, padding=1)
        self.sAtt_add_1 = nn.Conv2d(channels, channels, 1)
        self.sAtt_add_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor, moved: Tensor) -> Tensor:
        """(B, C, H, W) of this frame and of the earlier one, warped -> (B, C, H, W)."""
        wanted = self.tAtt_2(features)
        joined = torch.cat([x * (self.tAtt_1(x) * wanted).sum(1, keepdim=True).sigmoid() for x in (features, moved)], dim=1)
        fused = F.leaky_relu(self.fea_fusion(joined), _SLOPE)
        attention = self._attention(joined)
        summand: Tensor = self.sAtt_add_2(F.leaky_relu(self.sAtt_add_1(attention), _SLOPE))
        return fused * attention.sigmoid() * 2 + summand

    def _attention(self, joined: Tensor) -> Tensor:
        x = F.leaky_relu(self.sAtt_1(joined), _SLOPE)
        x = torch.cat((F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)), dim=1)
        x = F.leaky_relu(self.sAtt_3(F.leaky_relu(self.sAtt_2(x), _SLOPE)), _SLOPE)
        attention: Tensor = self.sAtt_4(F.interpolate(x, joined.shape[-2:], mode="bilinear", align_corners=False))
        return attention


class BfpTcea(nn.Module):
    """All levels become one map, which is fused with that of an earlier frame, and is handed back to all levels."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.liteflownet = LiteFlowNetCorr(channels)
        self.tcea_fusion = TceaFusion(channels)
        self.refine = nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, channels, 3, padding=1), activation=nn.ReLU()))

    def gather(self, levels: Sequence[Tensor]) -> Tensor:
        """P2..P6, each (B, C, h, w) -> their mean at the size of P2: the balanced features (B, C, H, W)."""
        size = levels[0].shape[-2:]
        total = levels[0]
        for level in levels[1:]:
            total = total + F.interpolate(level, size, mode="nearest")
        return total / len(levels)

    def forward(self, levels: Sequence[Tensor], bsf: Tensor, reference_bsf: Tensor, flow: Tensor) -> tuple[Tensor, ...]:
        """Fuse a pyramid with an earlier frame.

        Args:
            levels: P2..P6 of this frame, each (B, C, h, w), finest first.
            bsf: what `gather` makes of them.
            reference_bsf: the same of the earlier frame.
            flow: (B, 2, H, W) float, x and y in cells of P2, from this frame to the earlier one.

        Returns:
            As many levels, of the same shapes.
        """
        moved = warped(reference_bsf, flow)
        moved = warped(moved, self.liteflownet(bsf, moved, flow))
        refined = self.refine(self.tcea_fusion(bsf, moved))
        return tuple(level + strongest(refined, level.shape[-2:]) for level in levels)
