"""The semantic heads: deformable convolutions that all levels share, then one score per class at the finest level's size."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..dcn import OffsetConv2d
from .config import PanopticConfig
from .fpn import ConvOnly


class UpsSemantic(nn.Module):
    """UPSNet's head, without normalisation."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.fcn_subnet = _Subnet(config)
        self.score = nn.Conv2d(_LEVELS * config.semantic_channels[-1], len(config.labels), 1)
        _initialise(self)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P5 -> logits (B, labels, h, w) of P2's size."""
        return _scores([self.fcn_subnet(level) for level in levels], self.score)


class VpsSemantic(nn.Module):
    """VPSNet's head, with group normalisation instead of biases."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_channels, channels in _widths(config):
            layers += [OffsetConv2d(in_channels, channels, bias=False), nn.GroupNorm(config.norm_groups, channels), nn.ReLU(inplace=True)]
        self.deform_convs = nn.ModuleList([nn.Sequential(*layers)])
        self.conv_pred = ConvOnly(_LEVELS * config.semantic_channels[-1], len(config.labels), 1)
        _initialise(self)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P5 -> logits (B, labels, h, w) of P2's size."""
        return _scores([self.deform_convs[0](level) for level in levels], self.conv_pred.conv)


class _Subnet(nn.Module):
    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        stacks = (nn.Sequential(OffsetConv2d(*widths, bias=True), nn.ReLU(inplace=True)) for widths in _widths(config))
        self.conv = nn.Sequential(*stacks)

    def forward(self, level: Tensor) -> Tensor:
        out: Tensor = self.conv(level)
        return out


_LEVELS = 4


def _widths(config: PanopticConfig) -> list[tuple[int, int]]:
    """(in, out) channels of every deformable convolution."""
    return list(zip((config.fpn_channels, *config.semantic_channels[:-1]), config.semantic_channels, strict=True))


def _scores(maps: Sequence[Tensor], score: nn.Conv2d) -> Tensor:
    """The 1x1 convolution of all maps, resized to the first's size and concatenated.

    Resizing and a 1x1 convolution may change places, so each map is scored where it is small: it spares resizing hundreds of channels.
    """
    parts = score.weight.chunk(len(maps), dim=1)
    total = F.conv2d(maps[0], parts[0], score.bias)
    for level, (x, part) in enumerate(zip(maps[1:], parts[1:], strict=True), start=1):
        total = total + F.interpolate(F.conv2d(x, part), scale_factor=2**level, mode="bilinear", align_corners=False)
    return total


def _initialise(head: nn.Module) -> None:
    for module in head.modules():
        if isinstance(module, OffsetConv2d):
            nn.init.kaiming_normal_(module.conv.weight, mode="fan_out", nonlinearity="relu")
            if module.conv.bias is not None:
                nn.init.zeros_(module.conv.bias)
