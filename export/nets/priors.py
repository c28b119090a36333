"""The anchor boxes of a YOLACT, as numbers."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array

from .config import YolactConfig


def priors(config: YolactConfig) -> F32Array:
    """float32 (P, 4): centre x, centre y, width, height, relative to the input size.

    Order: level P3 to P7, row, column, scale, aspect ratio; the order of the net's predictions.
    """
    ratio = np.sqrt(np.asarray(config.aspect_ratios, dtype=np.float64))
    levels = []
    for side, scales in zip(config.level_sizes, config.scales, strict=True):
        scale = np.asarray(scales, dtype=np.float64)[:, None]
        width = (scale * ratio / config.size).ravel()
        height = width if config.square_anchors else (scale / ratio / config.size).ravel()
        centre = (np.arange(side) + 0.5) / side
        level = np.empty((side, side, width.size, 4), dtype=np.float64)
        level[..., 0] = centre[None, :, None]
        level[..., 1] = centre[:, None, None]
        level[..., 2] = width
        level[..., 3] = height
        levels.append(level.reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)
