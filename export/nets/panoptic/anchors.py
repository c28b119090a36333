"""The anchor boxes of every level, as numbers."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array, F64Array, SizeHW

from ..rcnn.anchors import spread
from ..rcnn.config import STRIDES, level_sizes
from .config import PanopticConfig

LEVEL_STRIDES = (*STRIDES, 64)
"""Pixels between the anchors of P2 to P6."""


def level_anchors(config: PanopticConfig, size_hw: SizeHW) -> list[F32Array]:
    """For P2 to P6: float32 (h * w * A, 4) corners in pixels of a picture of ``size_hw`` before padding; the last pixel is the corner.

    Order: row, column, aspect ratio; the order of the RPN's predictions.
    """
    grids = zip(LEVEL_STRIDES, level_sizes(size_hw), strict=True)
    return [spread(cell_anchors(config, stride), grid, (stride, stride)) for stride, grid in grids]


def cell_anchors(config: PanopticConfig, stride: int) -> F32Array:
    """float32 (A, 4): the anchors of a level's first cell."""
    ratios = np.asarray(config.aspect_ratios, dtype=np.float64)
    centre = (stride - 1) / 2
    if config.flavour.whole_base_anchors:
        width = np.round(stride / np.sqrt(ratios))
        return _around(centre, width * config.anchor_scale, np.round(width * ratios) * config.anchor_scale).astype(np.float32)
    side = stride * config.anchor_scale
    return np.round(_around(centre, side / np.sqrt(ratios), side * np.sqrt(ratios))).astype(np.float32)


def _around(centre: float, width: F64Array, height: F64Array) -> F64Array:
    half = np.stack([width - 1, height - 1], axis=1) / 2
    return np.concatenate([centre - half, centre + half], axis=1)
