"""How well instances fit tracks, for all pairs at once. T tracks, N instances."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array


def mask_iou(a: F32Array, b: F32Array) -> F32Array:
    """IoU float32 (T, N) of masks (T, P) and (N, P) of 0 and 1; 0 where both are empty."""
    overlap = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - overlap
    iou: F32Array = (overlap / np.maximum(union, 1)).astype(np.float32)
    return iou


def centres(boxes: F32Array) -> F32Array:
    """float32 (N, 2): the middles of corner boxes (N, 4)."""
    middle: F32Array = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.float32)
    return middle


def extents(boxes: F32Array) -> F32Array:
    """float32 (N,): square roots of the areas of boxes (N, 4), at least one pixel."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 1, None)
    extent: F32Array = np.sqrt(sides[:, 0] * sides[:, 1]).astype(np.float32)
    return extent


def distance(a: F32Array, b: F32Array) -> F32Array:
    """How far boxes a (T, 4) and b (N, 4) are apart, float32 (T, N): between their middles, over their mean extent."""
    apart = np.linalg.norm(centres(a)[:, None] - centres(b)[None], axis=2)
    far: F32Array = (2 * apart / (extents(a)[:, None] + extents(b)[None])).astype(np.float32)
    return far


def size_ratio(a: F32Array, b: F32Array) -> F32Array:
    """Smaller over larger extent of boxes a (T, 4) and b (N, 4): float32 (T, N) in 0..1."""
    first, second = extents(a)[:, None], extents(b)[None]
    ratio: F32Array = (np.minimum(first, second) / np.maximum(first, second)).astype(np.float32)
    return ratio
