"""Modulated deformable convolution (DCNv2) out of operations that standard ONNX has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableConv2d(nn.Module):
    """A square convolution whose taps move by learned offsets and are scaled by learned weights.

    The 3 * k * k channels of `conv_offset_mask` are the offsets, (dy, dx) interleaved per tap, then the
    modulation before its sigmoid. Samples outside the map count as zero, corner by corner.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, kernel_size: int = 3) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = kernel_size // 2
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.conv_offset_mask = nn.Conv2d(in_channels, 3 * kernel_size**2, kernel_size, stride, self.padding)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        for parameter in self.conv_offset_mask.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float -> (B, out_channels, ceil(H / stride), ceil(W / stride)) float."""
        taps = self.kernel_size**2
        offset_mask = self.conv_offset_mask(x)
        batch, _, height, width = offset_mask.shape
        offset = offset_mask[:, : 2 * taps].reshape(batch, taps, 2, height, width)
        modulation = offset_mask[:, 2 * taps :].sigmoid().unsqueeze(1)
        sampled = F.grid_sample(x, self._grid(x, offset), mode="bilinear", padding_mode="zeros", align_corners=False)
        columns = sampled.reshape(batch, x.shape[1], taps, height, width) * modulation
        out = torch.matmul(self.weight.flatten(1), columns.reshape(batch, x.shape[1] * taps, height * width))
        return out.reshape(batch, -1, height, width) + self.bias.reshape(1, -1, 1, 1)

    def _grid(self, x: Tensor, offset: Tensor) -> Tensor:
        """Sampling points (B, taps * h, w, 2), (x, y) in the [-1, 1] units of grid_sample, for `offset` (B, taps, 2, h, w) in cells."""
        batch, taps, _, height, width = offset.shape
        tap = torch.arange(taps, device=x.device)
        tap_y = torch.div(tap, self.kernel_size, rounding_mode="floor") - self.padding
        tap_x = tap % self.kernel_size - self.padding
        rows = (torch.arange(height, device=x.device) * self.stride).reshape(1, height, 1) + tap_y.reshape(taps, 1, 1)
        columns = (torch.arange(width, device=x.device) * self.stride).reshape(1, 1, width) + tap_x.reshape(taps, 1, 1)
        y = rows.to(x.dtype) + offset[:, :, 0]
        x_ = columns.to(x.dtype) + offset[:, :, 1]
        # Cell centres: with align_corners=False cell i lies at (2 i + 1) / n - 1, which is also defined for n = 1.
        grid = torch.stack(((2 * x_ + 1) / x.shape[3] - 1, (2 * y + 1) / x.shape[2] - 1), dim=-1)
        return grid.reshape(batch, taps * height, width, 2)
