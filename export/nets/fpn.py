"""YOLACT's feature pyramid: top-down sums of C3 to C5, then P3 to P7."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def resized(x: Tensor, like: Tensor) -> Tensor:
    """(B, C, h, w) -> the height and width of ``like``, bilinear, without antialiasing."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class FPN(nn.Module):
    """Five levels out of three maps.

    `lat_layers` and `pred_layers` are stored coarsest first (index 0 belongs to C5), as in the official files.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        coarsest_first = tuple(reversed(in_channels))
        self.lat_layers = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in coarsest_first)
        self.pred_layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in coarsest_first)
        self.downsample_layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, 2, 1) for _ in range(2))

    def laterals(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C3, C4, C5, or the first of them -> the 1x1 convolutions of them, finest first."""
        finest_first = tuple(self.lat_layers)[::-1]
        return tuple(lateral(c) for lateral, c in zip(finest_first, maps, strict=False))

    def top_down(self, laterals: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The laterals -> the top-down sums at the same three sizes, finest first, before the 3x3 convolutions."""
        sums = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            sums.append(lateral + resized(sums[-1], lateral))
        return tuple(reversed(sums))

    def sums(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C3, C4, C5 -> the top-down sums."""
        return self.top_down(self.laterals(maps))

    def levels(self, sums: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The top-down sums -> P3 to P7; the ReLU covers P3 to P5 only."""
        pyramid = [F.relu(pred(x)) for pred, x in zip(self.pred_layers, reversed(sums), strict=True)][::-1]
        for downsample in self.downsample_layers:
            pyramid.append(downsample(pyramid[-1]))
        return tuple(pyramid)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C3, C4, C5 -> P3, P4, P5, P6, P7, each (B, channels, h, w)."""
        return self.levels(self.sums(maps))
