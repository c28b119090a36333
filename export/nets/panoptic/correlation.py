"""Cost volumes: how alike each cell of one map and the cells around it in another are, as matrix products."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 32
"""Cells of a row that are compared in one product. A row of n cells as a whole would cost n + 2 * radius products a cell, of which
2 * radius + 1 are wanted."""


def correlation(first: Tensor, second: Tensor, radius: int, step: int = 1) -> Tensor:
    """Mean over the channels of the product of each cell of ``first`` with each of its (2 * radius + 1)^2 neighbours in ``second``.

    Args:
        first: (B, C, H, W).
        second: (B, C, H, W); cells outside it count as 0.
        radius: neighbours on each side.
        step: distance of neighbours, in cells.

    Returns:
        (B, (2 * radius + 1)^2, H, W): channel (i * (2 * radius + 1) + j) compares with the cell (i - radius) * step rows below and
        (j - radius) * step columns to the right.
    """
    height, width = first.shape[-2:]
    # Scaled before the product, which could otherwise leave the range of float16.
    costs = _neighbours(_phases(first / first.shape[1], step), _phases(second, step), radius)
    return _from_phases(costs, step)[..., :height, :width]


def _phases(x: Tensor, step: int) -> Tensor:
    """(B, C, H, W) -> (B * step^2, ceil(H / step), ceil(W / step), C): cells that are whole steps apart become direct neighbours."""
    batch, channels, height, width = x.shape
    x = F.pad(x, (0, -width % step, 0, -height % step))
    split = x.reshape(batch, channels, -(-height // step), step, -(-width // step), step).permute(0, 3, 5, 2, 4, 1)
    return split.flatten(0, 2)


def _from_phases(x: Tensor, step: int) -> Tensor:
    """(B * step^2, C, h, w) -> (B, C, h * step, w * step)."""
    return x.reshape(-1, step, step, *x.shape[1:]).permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)


def _neighbours(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """(N, h, w, C) twice -> (N, (2 * radius + 1)^2, h, w), sums over the channels."""
    number, height, width, channels = first.shape
    tiles = max(round(width / _TILE), 1)
    tile = -(-width // tiles)
    extra = tiles * tile - width
    side = 2 * radius + 1
    queries = F.pad(first, (0, 0, 0, extra)).reshape(number, height, tiles, tile, channels)
    windows = _windows(F.pad(second, (0, 0, radius, radius + extra, radius, radius)), tiles, tile, radius)
    products = torch.stack([queries @ windows[:, row : row + height] for row in range(side)], dim=1)
    # Of each product, (tile, tile + 2 * radius), row i holds what is wanted from column i on: in rows that are one longer, from column 0.
    skewed = F.pad(products.flatten(-2), (0, tile)).reshape(*products.shape[:-1], tile + side)[..., :side]
    return skewed.permute(0, 1, 5, 2, 3, 4).reshape(number, side**2, height, tiles * tile)[..., :width]


def _windows(x: Tensor, tiles: int, tile: int, radius: int) -> Tensor:
    """(N, h, tiles * tile + 2 * radius, C) -> (N, h, tiles, C, tile + 2 * radius): what each tile's cells see of a row."""
    reach = tile + 2 * radius
    columns = torch.arange(tiles, device=x.device)[:, None] * tile + torch.arange(reach, device=x.device)
    seen = x.index_select(2, columns.flatten())
    return seen.reshape(*x.shape[:2], tiles, reach, x.shape[-1]).transpose(-1, -2)
