"""What the networks of the FlowNet family are built from (Dosovitskiy et al., ICCV 2015; Ilg et al., CVPR 2017).

Flows are (B, 2, h, w): x and y, from the first picture to the second. The key names are those of the released FlowNet 2.0 weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE_STEP = 64
"""A net halves its input six times, and its decoder meets the encoder's maps again: sides are multiples of this."""
UNIT = 20.0
"""Pixels that the nets' flow of 1 stands for."""
_PIXEL_VALUES = 255.0
SLOPE = 0.1


def conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with bias that keeps the size, or halves it, and its activation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2), nn.LeakyReLU(SLOPE))


def linear_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution with bias and no activation, which smooths before a prediction."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1))


def deconv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Doubles the size."""
    return nn.Sequential(nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1), nn.LeakyReLU(SLOPE))


def flow_of(in_channels: int) -> nn.Conv2d:
    """Predicts a flow."""
    return nn.Conv2d(in_channels, 2, 3, padding=1)


def doubled_flow(*, bias: bool) -> nn.ConvTranspose2d:
    """Learned doubling of a flow's size."""
    return nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=bias)


def scaled(channels: int, width: float) -> int:
    """Channels of a narrower net."""
    return max(round(channels * width), 1)


def padded(image: Tensor) -> Tensor:
    """(B, C, H, W) -> its last row and column repeated until both sides are multiples of `SIZE_STEP`."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % SIZE_STEP, 0, -height % SIZE_STEP), mode="replicate")


def normalised(image: Tensor, reference: Tensor) -> Tensor:
    """Two pictures (B, 3, H, W), RGB from 0 to 255 -> (B, 6, H, W): less the mean of each channel over both, in parts of 255."""
    mean = torch.cat((image, reference), dim=2).mean((2, 3), keepdim=True)
    return torch.cat((image - mean, reference - mean), dim=1) / _PIXEL_VALUES


def quartered(flow: Tensor) -> Tensor:
    """A flow (B, 2, H, W) in pixels -> (B, 2, H/4, W/4) in the cells of that size."""
    height, width = flow.shape[-2:]
    return F.interpolate(flow, (height // 4, width // 4), mode="bilinear", align_corners=False) * 0.25


def resampled(image: Tensor, flow: Tensor) -> Tensor:
    """(B, C, H, W) of the second picture, moved to the first by a flow in pixels; what lies outside is its nearest edge pixel."""
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device).reshape(1, 1, width) + flow[:, 0]
    y = torch.arange(height, device=image.device).reshape(1, height, 1) + flow[:, 1]
    grid = torch.stack((x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1), dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def channel_norm(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W): length of each cell's vector."""
    return x.square().sum(1, keepdim=True).sqrt()
