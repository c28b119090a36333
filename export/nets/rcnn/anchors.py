"""The anchor boxes of every level, as numbers."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array, SizeHW

from .config import STRIDES, RcnnConfig, level_sizes, padded_hw

_P6_STRIDE = 64


def level_anchors(config: RcnnConfig, size_hw: SizeHW) -> list[F32Array]:
    """For P2 to P6: float32 (h * w * A, 4) corners in pixels of a resized picture of ``size_hw``.

    Order: row, column, aspect ratio; the order of the RPN's predictions. The first anchor's centre is the picture's corner.
    """
    return [
        spread(_cell_anchors(config, side), grid, stride)
        for side, grid, stride in zip(config.anchor_sides, level_sizes(size_hw), level_strides(config, size_hw), strict=True)
    ]


def level_strides(config: RcnnConfig, size_hw: SizeHW) -> list[SizeHW]:
    """Pixels between the anchors of P2 to P6 along y and x."""
    if not config.flavour.whole_anchors:
        return [(stride, stride) for stride in (*STRIDES, _P6_STRIDE)]
    height, width = padded_hw(size_hw)
    return [(height // rows, width // columns) for rows, columns in level_sizes(size_hw)]


def _cell_anchors(config: RcnnConfig, side: float) -> F32Array:
    """float32 (A, 4): corners around the origin."""
    root = np.sqrt(np.asarray(config.aspect_ratios, dtype=np.float64))
    half = np.stack([side / root, side * root], axis=1) / 2
    if config.flavour.whole_anchors:
        half = np.round(half)
    return np.concatenate([-half, half], axis=1).astype(np.float32)


def spread(cell: F32Array, grid: SizeHW, stride: SizeHW) -> F32Array:
    """A cell's anchors (A, 4) around the origin, laid over a grid of cells: float32 (h * w * A, 4) by row, column, anchor."""
    y = np.arange(grid[0], dtype=np.float32) * stride[0]
    x = np.arange(grid[1], dtype=np.float32) * stride[1]
    origin = np.stack(np.broadcast_arrays(x[None, :], y[:, None], x[None, :], y[:, None]), axis=-1)
    anchors: F32Array = (origin[:, :, None] + cell).reshape(-1, 4).astype(np.float32)
    return anchors
