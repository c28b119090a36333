"""Deformable convolution, plain (DCNv1) and modulated (DCNv2), out of operations that standard ONNX has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableConv2d(nn.Module):
    """A square convolution whose taps move by learned offsets and are scaled by learned weights: DCNv2.

    The 3 * k * k channels of `conv_offset_mask` are the offsets, (dy, dx) interleaved per tap, then the
    modulation before its sigmoid. Samples outside the map count as zero, corner by corner.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, kernel_size: int = 3) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.conv_offset_mask = nn.Conv2d(in_channels, 3 * kernel_size**2, kernel_size, stride, kernel_size // 2)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        for parameter in self.conv_offset_mask.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float -> (B, out_channels, ceil(H / stride), ceil(W / stride)) float."""
        taps = self.kernel_size**2
        offset_mask = self.conv_offset_mask(x)
        modulation = offset_mask[:, 2 * taps :].sigmoid().unsqueeze(1)
        columns = _sampled(x, offset_mask[:, : 2 * taps], self.stride, self.kernel_size) * modulation
        return _convolved(columns, self.weight) + self.bias.reshape(1, -1, 1, 1)


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Convolution of (B, C, H, W) with a square kernel (O, C, k, k) whose taps move by ``offset``, padded by k // 2: DCNv1.

    ``offset``: (B, 2 * k * k, h, w) cells, (dy, dx) interleaved per tap, one for each cell of the result (B, O, h, w).
    """
    return _convolved(_sampled(x, offset, stride, weight.shape[-1]), weight)


class OffsetConv2d(nn.Module):
    """A 3x3 DCNv1 with the layer that gives its offsets."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool) -> None:
        super().__init__()
        self.conv_offset = offset_layer(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H, W)."""
        convolved = deform_conv2d(x, self.conv_offset(x), self.conv.weight)
        return convolved if self.conv.bias is None else convolved + self.conv.bias.reshape(1, -1, 1, 1)


def offset_layer(in_channels: int) -> nn.Conv2d:
    """What gives the offsets of a 3x3 DCNv1; untrained, it moves nothing."""
    layer = nn.Conv2d(in_channels, 18, 3, padding=1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _sampled(x: Tensor, offset: Tensor, stride: int, kernel_size: int) -> Tensor:
    """What every tap sees: (B, C, taps, h, w) of x (B, C, H, W) for offsets (B, 2 * taps, h, w)."""
    batch, _, height, width = offset.shape
    taps = kernel_size**2
    grid = _grid(x, offset.reshape(batch, taps, 2, height, width), stride, kernel_size)
    sampled = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.reshape(batch, x.shape[1], taps, height, width)


def _convolved(columns: Tensor, weight: Tensor) -> Tensor:
    """(B, O, h, w): columns (B, C, taps, h, w) times a kernel (O, C, k, k)."""
    batch, channels, taps, height, width = columns.shape
    out = torch.matmul(weight.flatten(1), columns.reshape(batch, channels * taps, height * width))
    return out.reshape(batch, -1, height, width)


def _grid(x: Tensor, offset: Tensor, stride: int, kernel_size: int) -> Tensor:
    """Sampling points (B, taps * h, w, 2), (x, y) in the [-1, 1] units of grid_sample, for `offset` (B, taps, 2, h, w) in cells."""
    batch, taps, _, height, width = offset.shape
    padding = kernel_size // 2
    tap = torch.arange(taps, device=x.device)
    tap_y = torch.div(tap, kernel_size, rounding_mode="floor") - padding
    tap_x = tap % kernel_size - padding
    rows = (torch.arange(height, device=x.device) * stride).reshape(1, height, 1) + tap_y.reshape(taps, 1, 1)
    columns = (torch.arange(width, device=x.device) * stride).reshape(1, 1, width) + tap_x.reshape(taps, 1, 1)
    y = rows.to(x.dtype) + offset[:, :, 0]
    x_ = columns.to(x.dtype) + offset[:, :, 1]
    # Cell centres: with align_corners=False cell i lies at (2 i + 1) / n - 1, which is also defined for n = 1.
    grid = torch.stack(((2 * x_ + 1) / x.shape[3] - 1, (2 * y + 1) / x.shape[2] - 1), dim=-1)
    return grid.reshape(batch, taps * height, width, 2)
