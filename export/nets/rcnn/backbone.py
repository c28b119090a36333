"""The ResNet body and its feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..resnet import EXPANSION, Bottleneck, initialise
from .config import RcnnConfig


class Body(nn.Module):
    """A ResNet that returns the maps of its four stages."""

    def __init__(self, blocks: Sequence[int], base_width: int, stride_in_1x1: bool) -> None:
        super().__init__()
        self.channels = tuple(base_width * EXPANSION * 2**stage for stage in range(len(blocks)))
        self.conv1 = nn.Conv2d(3, base_width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        in_channels = base_width
        for stage, count in enumerate(blocks):
            width = base_width * 2**stage
            strides = [2 if stage else 1] + [1] * (count - 1)
            inputs = [in_channels] + [width * EXPANSION] * (count - 1)
            stack = (Bottleneck(c, width, s, stride_in_1x1=stride_in_1x1) for c, s in zip(inputs, strides, strict=True))
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
            in_channels = width * EXPANSION
        initialise(self)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised -> C2 to C5; H and W are multiples of 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        maps = []
        for stage in range(len(self.channels)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return tuple(maps)


class Pyramid(nn.Module):
    """P2 to P6 out of C2 to C5. Blocks are stored finest first."""

    def __init__(self, in_channels: Sequence[int], channels: int, normed: bool) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(_block(c, channels, 1, normed) for c in in_channels)
        self.layer_blocks = nn.ModuleList(_block(channels, channels, 3, normed) for _ in in_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C2 to C5 -> P2 to P6, each (B, channels, h, w); P6 is every other cell of P5."""
        laterals = [block(c) for block, c in zip(self.inner_blocks, maps, strict=True)]
        sums = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            sums.append(lateral + F.interpolate(sums[-1], scale_factor=2, mode="nearest"))
        levels = [block(x) for block, x in zip(self.layer_blocks, reversed(sums), strict=True)]
        return *levels, levels[-1][:, :, ::2, ::2]


class Backbone(nn.Module):
    """Body and pyramid."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.body = Body(config.blocks, config.base_width, config.flavour.stride_in_1x1)
        self.fpn = Pyramid(self.body.channels, config.fpn_channels, config.normed_heads)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised and padded -> P2 to P6."""
        levels: tuple[Tensor, ...] = self.fpn(self.body(image))
        return levels


def _block(in_channels: int, channels: int, kernel_size: int, normed: bool) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=not normed)
    return nn.Sequential(conv, nn.BatchNorm2d(channels)) if normed else nn.Sequential(conv)
