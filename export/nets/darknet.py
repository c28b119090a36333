"""Darknet-53 in YOLACT's key layout."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .trunk import selected_maps


def _conv_bn_leaky(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1, inplace=True),
    )


class ResidualBlock(nn.Module):
    """1x1 to half the channels, 3x3 back, plus the input; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn_leaky(channels, channels // 2, 1)
        self.conv2 = _conv_bn_leaky(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        out: Tensor = self.conv2(self.conv1(x)) + x
        return out


class DarkNet(nn.Module):
    """A stem at full resolution, then stages that halve the size and double the channels.

    `blocks`: residual blocks per stage. `selected`: the stages (from 0) to return.
    """

    def __init__(self, blocks: Sequence[int], selected: Sequence[int], base_width: int = 32) -> None:
        super().__init__()
        self.selected = tuple(selected)
        self.channels = tuple(base_width * 2 ** (stage + 1) for stage in selected)
        self._preconv = _conv_bn_leaky(3, base_width, 3)
        self.layers = nn.ModuleList()
        for stage, count in enumerate(blocks):
            channels = base_width * 2 ** (stage + 1)
            residual = [ResidualBlock(channels) for _ in range(count)]
            self.layers.append(nn.Sequential(_conv_bn_leaky(channels // 2, channels, 3, 2), *residual))

    def forward(self, image: Tensor, maps: int | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) RGB in [0, 1] -> the selected stages' maps, finest first; of these only the first ``maps``."""
        return selected_maps(self.layers, self._preconv(image), self.selected[:maps])
