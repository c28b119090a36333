"""A lattice of S x S cells over the window of each of N instances, so that all of them are handled at once."""

from __future__ import annotations

import numpy as np

from edgeseg.masks import THRESHOLD
from edgeseg.types import F32Array, F64Array, I64Array, Instances, SizeHW

SIDE = 40
"""S: cells along each side of a window."""
MARGIN = 1.06
"""The window around a posed box, over the box: masks reach a little beyond their boxes."""


def around(poses: F64Array, image_hw: SizeHW) -> I64Array:
    """int64 (N, 4): x1, y1, x2, y2, the whole pixels around posed boxes, inside the picture; no area where a box is outside."""
    height, width = image_hw
    reach = np.abs(poses[:, :, :2]).sum(axis=2) * MARGIN
    low, high = np.floor(poses[:, :, 2] - reach), np.ceil(poses[:, :, 2] + reach)
    limits = [width, height, width, height]
    windows: I64Array = np.clip(np.concatenate([low, high], axis=1), 0, limits).astype(np.int64)
    return windows


def middles(windows: I64Array) -> F32Array:
    """float32 (2, N, S, S): x and y of the middles of S x S cells that fill each window."""
    along = ((np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
    corner, size = windows[:, :2].astype(np.float32), (windows[:, 2:] - windows[:, :2]).astype(np.float32)
    now = np.empty((2, len(windows), SIDE, SIDE), np.float32)
    now[0] = (corner[:, :1] + size[:, :1] * along)[:, None, :]
    now[1] = (corner[:, 1:] + size[:, 1:] * along)[:, :, None]
    return now


def sampled(found: Instances, points: F32Array) -> F32Array:
    """float32 (N, S, S): soft values of the masks, each at its own points (2, N, S, S) in pixels."""
    values = np.empty(points.shape[1:], np.float32)
    for i in range(len(found)):
        values[i] = found.masks.at(i, points[0, i], points[1, i])
    return values


def extents(values: F32Array, windows: I64Array) -> F32Array:
    """float32 (N, 4): x1, y1, x2, y2 in pixels of masks (N, S, S) on their windows, to a fraction of a cell; zero where one is empty."""
    found = np.zeros((len(windows), 4), np.float32)
    for axis, profile in enumerate((values.max(axis=1), values.max(axis=2))):
        corner = windows[:, axis]
        size = windows[:, 2 + axis] - corner
        found[:, axis] = corner + _first(profile) * size
        found[:, 2 + axis] = corner + (1 - _first(profile[:, ::-1])) * size
    found[values.max(axis=(1, 2)) <= THRESHOLD] = 0
    return found


def _first(profile: F32Array) -> F32Array:
    """float32 (N,): where rows of values (N, S) first exceed the threshold, as a part 0..1 of their length."""
    index = (profile > THRESHOLD).argmax(axis=1)
    row = np.arange(len(profile))
    value, before = profile[row, index], profile[row, np.maximum(index - 1, 0)]
    # Between the middles of two cells; the first cell begins at the window's edge.
    back = np.where(index > 0, (value - THRESHOLD) / np.maximum(value - before, np.float32(1e-6)), np.float32(0.5))
    first: F32Array = ((index + np.float32(0.5) - back) / np.float32(SIDE)).astype(np.float32)
    return first
