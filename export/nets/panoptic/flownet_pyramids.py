"""The encoder-decoders of FlowNet 2.0: C and S find large displacements, SD small ones, and Fusion chooses between them.

Each takes (B, C, H, W) with sides that are multiples of 64. A level is the number of times that a map's sides were halved.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .correlation import correlation
from .flownet_parts import SLOPE, conv, deconv, doubled_flow, flow_of, linear_conv, scaled

_COARSEST = 6
_FINEST = 2
_REDIRECTED = 32
_RADIUS = 10
_STEP = 2
_DECODED = {5: 512, 4: 256, 3: 128, 2: 64}
"""Level -> channels that the decoder brings to it."""
_ENCODED = {6: 1024, 5: 512, 4: 512, 3: 256, 2: 128}


class _Pyramid(nn.Module):
    """Levels 3 to 6 of the encoder, and the decoder, which refines a flow from level 6 to level 2."""

    def __init__(self, width: float, *, flow_bias: bool, smoothed: bool = False) -> None:
        super().__init__()
        self.smoothed = smoothed
        for level in (4, 5, 6):
            below, here = scaled(_ENCODED[level - 1], width), scaled(_ENCODED[level], width)
            setattr(self, f"conv{level}", conv(below, here, stride=2))
            setattr(self, f"conv{level}_1", conv(here, here))
        channels = scaled(_ENCODED[_COARSEST], width)
        self.predict_flow6 = flow_of(channels)
        for level, decoded in _DECODED.items():
            setattr(self, f"deconv{level}", deconv(channels, scaled(decoded, width)))
            setattr(self, f"upsampled_flow{level + 1}_to_{level}", doubled_flow(bias=flow_bias))
            channels = scaled(_ENCODED[level], width) + scaled(decoded, width) + 2
            if smoothed:
                setattr(self, f"inter_conv{level}", linear_conv(channels, scaled(decoded, width)))
            setattr(self, f"predict_flow{level}", flow_of(scaled(decoded, width) if smoothed else channels))

    def coarser(self, x: Tensor) -> dict[int, Tensor]:
        """The map of level 3 -> level -> map of levels 3 to 6."""
        maps = {3: x}
        for level in (4, 5, 6):
            x = self._part(f"conv{level}_1", self._part(f"conv{level}", x))
            maps[level] = x
        return maps

    def refined(self, maps: dict[int, Tensor]) -> Tensor:
        """Level -> map of levels 2 to 6 -> the flow of level 2, (B, 2, H/4, W/4)."""
        x = maps[_COARSEST]
        flow: Tensor = self.predict_flow6(x)
        for level in range(_COARSEST - 1, _FINEST - 1, -1):
            larger = self._part(f"upsampled_flow{level + 1}_to_{level}", flow)
            x = torch.cat((maps[level], self._part(f"deconv{level}", x), larger), dim=1)
            flow = self._part(f"predict_flow{level}", self._part(f"inter_conv{level}", x) if self.smoothed else x)
        return flow

    def _part(self, name: str, x: Tensor) -> Tensor:
        result: Tensor = self.get_submodule(name)(x)
        return result


class FlowNetC(_Pyramid):
    """Compares the features of two pictures, each found alone."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, flow_bias=True)
        first, second, third = (scaled(channels, width) for channels in (64, 128, 256))
        redirected = scaled(_REDIRECTED, width)
        self.conv1 = conv(3, first, 7, 2)
        self.conv2 = conv(first, second, 5, 2)
        self.conv3 = conv(second, third, 5, 2)
        self.conv_redir = conv(third, redirected, 1)
        self.conv3_1 = conv(redirected + (2 * _RADIUS + 1) ** 2, third)

    def forward(self, pair: Tensor) -> Tensor:
        """(B, 6, H, W), both pictures -> the flow (B, 2, H/4, W/4)."""
        image, reference = pair.chunk(2, dim=1)
        second = self.conv2(self.conv1(image))
        third = self.conv3(second)
        costs = correlation(third, self.conv3(self.conv2(self.conv1(reference))), _RADIUS, _STEP)
        joined = torch.cat((self.conv_redir(third), F.leaky_relu(costs, SLOPE)), dim=1)
        return self.refined({2: second, **self.coarser(self.conv3_1(joined))})


class FlowNetSimple(_Pyramid):
    """Sees everything at once: two pictures, and what an earlier net made of them."""

    def __init__(self, in_channels: int = 12, width: float = 1.0) -> None:
        super().__init__(width, flow_bias=False)
        first, second, third = (scaled(channels, width) for channels in (64, 128, 256))
        self.conv1 = conv(in_channels, first, 7, 2)
        self.conv2 = conv(first, second, 5, 2)
        self.conv3 = conv(second, third, 5, 2)
        self.conv3_1 = conv(third, third)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> the flow (B, 2, H/4, W/4)."""
        second = self.conv2(self.conv1(x))
        return self.refined({2: second, **self.coarser(self.conv3_1(self.conv3(second)))})


class FlowNetSD(_Pyramid):
    """For small displacements: small kernels, and a convolution before each prediction."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, flow_bias=True, smoothed=True)
        first, second, third = (scaled(channels, width) for channels in (64, 128, 256))
        self.conv0 = conv(6, first)
        self.conv1 = conv(first, first, stride=2)
        self.conv1_1 = conv(first, second)
        self.conv2 = conv(second, second, stride=2)
        self.conv2_1 = conv(second, second)
        self.conv3 = conv(second, third, stride=2)
        self.conv3_1 = conv(third, third)

    def forward(self, pair: Tensor) -> Tensor:
        """(B, 6, H, W), both pictures -> the flow (B, 2, H/4, W/4)."""
        second = self.conv2_1(self.conv2(self.conv1_1(self.conv1(self.conv0(pair)))))
        return self.refined({2: second, **self.coarser(self.conv3_1(self.conv3(second)))})


class FlowNetFusion(nn.Module):
    """Joins two flows at full size."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        first, second = scaled(64, width), scaled(128, width)
        half, full = scaled(32, width), scaled(16, width)
        self.conv0 = conv(11, first)
        self.conv1 = conv(first, first, stride=2)
        self.conv1_1 = conv(first, second)
        self.conv2 = conv(second, second, stride=2)
        self.conv2_1 = conv(second, second)
        self.deconv1 = deconv(second, half)
        self.deconv0 = deconv(second + half + 2, full)
        self.inter_conv1 = linear_conv(second + half + 2, half)
        self.inter_conv0 = linear_conv(first + full + 2, full)
        self.predict_flow2 = flow_of(second)
        self.predict_flow1 = flow_of(half)
        self.predict_flow0 = flow_of(full)
        self.upsampled_flow2_to_1 = doubled_flow(bias=True)
        self.upsampled_flow1_to_0 = doubled_flow(bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 11, H, W) -> the flow (B, 2, H, W)."""
        full = self.conv0(x)
        half = self.conv1_1(self.conv1(full))
        quarter = self.conv2_1(self.conv2(half))
        larger = self.upsampled_flow2_to_1(self.predict_flow2(quarter))
        half = torch.cat((half, self.deconv1(quarter), larger), dim=1)
        larger = self.upsampled_flow1_to_0(self.predict_flow1(self.inter_conv1(half)))
        full = torch.cat((full, self.deconv0(half), larger), dim=1)
        flow: Tensor = self.predict_flow0(self.inter_conv0(full))
        return flow
