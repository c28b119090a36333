"""The feature pyramids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = (2, 3, 4, 5)


class UpsPyramid(nn.Module):
    """UPSNet's: with ``gap``, the mean of all C5 is added to the deepest lateral."""

    def __init__(self, in_channels: Sequence[int], channels: int, gap: bool) -> None:
        super().__init__()
        self.fpn_gap = nn.Linear(in_channels[-1], channels) if gap else None
        for level, width in zip(_LEVELS, in_channels, strict=True):
            self.add_module(f"fpn_p{level}_1x1", nn.Conv2d(width, channels, 1))
            self.add_module(f"fpn_p{level}", nn.Conv2d(channels, channels, 3, padding=1))
        _initialise(self)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C2 to C5 -> P2 to P6, each (B, channels, h, w)."""
        laterals = [self.get_submodule(f"fpn_p{level}_1x1")(x) for level, x in zip(_LEVELS, maps, strict=True)]
        if self.fpn_gap is not None:
            laterals[-1] = laterals[-1] + self.fpn_gap(maps[-1].mean(dim=(2, 3)))[:, :, None, None]
        return _pyramid(laterals, [self.get_submodule(f"fpn_p{level}") for level in _LEVELS])


class VpsPyramid(nn.Module):
    """VPSNet's."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvOnly(width, channels, 1) for width in in_channels)
        self.fpn_convs = nn.ModuleList(ConvOnly(channels, channels, 3) for _ in in_channels)
        _initialise(self)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C2 to C5 -> P2 to P6, each (B, channels, h, w)."""
        return _pyramid([conv(x) for conv, x in zip(self.lateral_convs, maps, strict=True)], self.fpn_convs)


class ConvOnly(nn.Module):
    """A convolution one name deeper, as the key names of mmdetection have it."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, H, W)."""
        out: Tensor = self.conv(x)
        return out


def _pyramid(laterals: Sequence[Tensor], outputs: Iterable[nn.Module]) -> tuple[Tensor, ...]:
    """Laterals, finest first, summed from the deepest up; P6 is every other cell of P5."""
    sums = [laterals[-1]]
    for lateral in reversed(laterals[:-1]):
        sums.append(lateral + F.interpolate(sums[-1], scale_factor=2, mode="nearest"))
    levels = [conv(x) for conv, x in zip(outputs, reversed(sums), strict=True)]
    return *levels, levels[-1][:, :, ::2, ::2]


def _initialise(pyramid: nn.Module) -> None:
    for module in pyramid.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
