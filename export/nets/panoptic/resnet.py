"""UPSNet's ResNet: its key names, its stride in the first 1x1 convolution, and DCNv1 in the 3x3 ones."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..dcn import deform_conv2d, offset_layer
from ..resnet import EXPANSION, Bottleneck, initialise


class DeformableBottleneck(Bottleneck):
    """A bottleneck whose 3x3 convolution is deformable; the layer of its offsets stands beside it."""

    def __init__(self, in_channels: int, width: int, stride: int, stride_in_1x1: bool) -> None:
        super().__init__(in_channels, width, stride, stride_in_1x1=stride_in_1x1)
        self.conv2_offset = offset_layer(width)

    def middle(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        return deform_conv2d(x, self.conv2_offset(x), self.conv2.weight)


class UpsBody(nn.Module):
    """The ResNet, which returns the maps of its four stages."""

    def __init__(self, blocks: Sequence[int], base_width: int, deformable: bool) -> None:
        super().__init__()
        self.channels = tuple(base_width * EXPANSION * 2**stage for stage in range(len(blocks)))
        self.conv1 = _Stem(base_width)
        inputs = (base_width, *self.channels)
        for stage, count in enumerate(blocks):
            self.add_module(f"res{stage + 2}", _Stage(inputs[stage], base_width * 2**stage, count, deformable and stage > 0))
        initialise(self)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised -> C2 to C5; H and W are multiples of 32."""
        x = self.conv1(image)
        maps = []
        for stage in range(len(self.channels)):
            x = self.get_submodule(f"res{stage + 2}")(x)
            maps.append(x)
        return tuple(maps)


class _Stem(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        pooled: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        return pooled


class _Stage(nn.Module):
    """All stages but the first, whose map is as large as the stem's, halve their input."""

    def __init__(self, in_channels: int, width: int, count: int, deformable: bool) -> None:
        super().__init__()
        block = DeformableBottleneck if deformable else Bottleneck
        first = 1 if in_channels == width else 2
        shapes = [(in_channels, first)] + [(width * EXPANSION, 1)] * (count - 1)
        self.layers = nn.Sequential(*(block(channels, width, stride, stride_in_1x1=True) for channels, stride in shapes))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
