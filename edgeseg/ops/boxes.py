"""Box arithmetic in plain numpy: the reference for what the exported graphs compute."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array, I64Array, SizeHW


def decode_boxes(loc: F32Array, priors: F32Array) -> F32Array:
    """Corner boxes (P, 4) in 0..1 of the picture from regression output and priors, not clipped.

    Args:
        loc: float32 (P, 4) as dx, dy, dw, dh with variances 0.1 and 0.2 (SSD; yolact layers/box_utils.py decode).
        priors: float32 (P, 4) as centre x, centre y, width, height in 0..1.
    """
    centre = priors[:, :2] + loc[:, :2] * np.float32(0.1) * priors[:, 2:]
    size = priors[:, 2:] * np.exp(loc[:, 2:] * np.float32(0.2))
    low = centre - size / 2
    return np.concatenate([low, size + low], axis=1)


def box_iou(a: F32Array, b: F32Array) -> F32Array:
    """IoU (A, B) of corner boxes (A, 4) and (B, 4) in any one unit; no epsilon, no extra pixel."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    iou: F32Array = overlap / (area_a[:, None] + area_b[None] - overlap)
    return iou


def whole_pixel_boxes(relative: F32Array, image_hw: SizeHW) -> F32Array:
    """Boxes (N, 4) in whole image pixels from 0..1, by YOLACT's rule (yolact layers/box_utils.py sanitize_coordinates).

    Corners are sorted, x1 and y1 clamped to >= 0 and x2 and y2 to the image, then truncated. A box wholly outside the
    image comes out with x1 > x2: the original does that too.
    """
    height, width = image_hw
    x = np.sort(relative[:, 0::2] * np.float32(width), axis=1)
    y = np.sort(relative[:, 1::2] * np.float32(height), axis=1)
    low = np.maximum(np.stack([x[:, 0], y[:, 0]], axis=1), 0)
    high = np.minimum(np.stack([x[:, 1], y[:, 1]], axis=1), np.array([width, height], np.float32))
    pixels: F32Array = np.trunc(np.concatenate([low, high], axis=1)).astype(np.float32)
    return pixels


def crop_window(low: float, high: float, cells: int, padding: float = 1.0) -> tuple[int, int]:
    """First and last-plus-one cell kept by YOLACT's crop along one axis (yolact layers/box_utils.py crop).

    Args:
        low, high: the box's two corners along the axis, in 0..1, in either order.
        cells: cells of the grid along the axis.
        padding: cells added on both sides.
    """
    a, b = np.float32(low) * np.float32(cells), np.float32(high) * np.float32(cells)
    first = max(min(a, b) - np.float32(padding), np.float32(0))
    last = min(max(a, b) + np.float32(padding), np.float32(cells))
    start, stop = int(np.ceil(first)), int(np.ceil(last))
    return min(start, cells), max(min(stop, cells), 0)


def descending_order(scores: F32Array) -> I64Array:
    """Indices that sort ``scores`` (N,) in descending order; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")
