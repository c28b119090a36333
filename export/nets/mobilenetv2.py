"""MobileNetV2 in YolactEdge's key layout."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .trunk import selected_maps

_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280
# Expansion, channels, blocks and stride of each stage.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _conv_bn_relu6(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand 1x1 (left out at expansion 1), depthwise 3x3, project 1x1 without activation; a shortcut where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        expand = [_conv_bn_relu6(in_channels, hidden, 1)] if expansion != 1 else []
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *expand,
            _conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return x + out if self.has_shortcut else out


class MobileNetV2(nn.Module):
    """Layer 0 is the stem, 1 to 7 the stages, 8 the last 1x1; `selected` names the layers to return.

    Layers behind the last selected one are in the official files and therefore exist here, but are never computed.
    """

    def __init__(self, selected: Sequence[int]) -> None:
        super().__init__()
        self.selected = tuple(selected)
        self.channels = tuple(_STAGES[layer - 1][1] for layer in selected)
        self.layers = nn.ModuleList([_conv_bn_relu6(3, _STEM_CHANNELS, 3, 2)])
        in_channels = _STEM_CHANNELS
        for expansion, channels, blocks, stride in _STAGES:
            stage = []
            for block in range(blocks):
                stage.append(InvertedResidual(in_channels, channels, stride if block == 0 else 1, expansion))
                in_channels = channels
            self.layers.append(nn.Sequential(*stage))
        self.layers.append(_conv_bn_relu6(in_channels, _LAST_CHANNELS, 1))

    def forward(self, image: Tensor, maps: int | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised RGB -> the selected layers' maps, finest first; of these only the first ``maps``."""
        return selected_maps(self.layers, image, self.selected[:maps])
