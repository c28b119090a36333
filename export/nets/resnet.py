"""ResNet with bottleneck blocks, some of them deformable, in YOLACT's key layout."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .dcn import DeformableConv2d
from .trunk import selected_maps

EXPANSION = 4


def _batch_norm_conv(in_channels: int, out_channels: int, stride: int = 1, kernel_size: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, plus the shortcut. The 3x3 is the strided one, in the oldest weights the first 1x1."""

    def __init__(self, in_channels: int, width: int, stride: int, deformable: bool = False, stride_in_1x1: bool = False) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        first, middle = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = _batch_norm_conv(in_channels, width, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = DeformableConv2d(width, width, middle) if deformable else _batch_norm_conv(width, width, middle, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _batch_norm_conv(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(_batch_norm_conv(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.middle(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return out

    def middle(self, x: Tensor) -> Tensor:
        """The 3x3 convolution: (B, width, h, w) -> (B, width, H / stride, W / stride)."""
        convolved: Tensor = self.conv2(x)
        return convolved


def _is_deformable(block: int, blocks: int, dcn_blocks: int, interval: int) -> bool:
    """The placement rule of YOLACT++: the last `dcn_blocks` blocks of a stage, every `interval`-th counted from its start."""
    return block + dcn_blocks >= blocks and block % interval == 0


class ResNet(nn.Module):
    """The trunk up to the last selected stage.

    `blocks`: bottlenecks per stage. `dcn_blocks`: how many of each stage may be deformable; empty = none.
    `selected`: the stages (from 0) to return.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        selected: Sequence[int],
        base_width: int = 64,
        dcn_blocks: Sequence[int] = (),
        dcn_interval: int = 1,
    ) -> None:
        super().__init__()
        self.selected = tuple(selected)
        self.channels = tuple(base_width * EXPANSION * 2**stage for stage in selected)
        self.conv1 = nn.Conv2d(3, base_width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.ModuleList()
        in_channels = base_width
        for stage, count in enumerate(blocks):
            width = base_width * 2**stage
            dcn = dcn_blocks[stage] if dcn_blocks else 0
            stage_blocks = []
            for block in range(count):
                stride = 2 if block == 0 and stage > 0 else 1
                stage_blocks.append(Bottleneck(in_channels, width, stride, _is_deformable(block, count, dcn, dcn_interval)))
                in_channels = width * EXPANSION
            self.layers.append(nn.Sequential(*stage_blocks))
        initialise(self)

    def forward(self, image: Tensor, maps: int | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised RGB -> the selected stages' maps, finest first; of these only the first ``maps``."""
        return selected_maps(self.layers, self.maxpool(self.relu(self.bn1(self.conv1(image)))), self.selected[:maps])


def initialise(trunk: nn.Module) -> None:
    """How ResNets start their training."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
