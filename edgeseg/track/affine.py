"""Steps: affine maps float32 (2, 3) from pixels of this frame to pixels of the last one."""

from __future__ import annotations

import numpy as np

from edgeseg.types import F32Array


def shift(moved: F32Array) -> F32Array:
    """The step of something that moved by float32 (2,), x and y in pixels, since the last frame."""
    return np.array([[1, 0, -moved[0]], [0, 1, -moved[1]]], np.float32)


def back(step: F32Array, x: F32Array, y: F32Array) -> tuple[F32Array, F32Array]:
    """Points of this frame, x and y float32 that broadcast together, as points of the last one."""
    return step[0, 0] * x + step[0, 1] * y + step[0, 2], step[1, 0] * x + step[1, 1] * y + step[1, 2]


def moved_box(step: F32Array, box: F32Array) -> F32Array:
    """A box of the last frame, float32 (4,), shifted as its middle was. The step can be undone."""
    (a, b, c), (d, e, f) = step.tolist()
    x1, y1, x2, y2 = box.tolist()
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    whole = a * e - b * d
    right, down = (e * (x - c) - b * (y - f)) / whole - x, (a * (y - f) - d * (x - c)) / whole - y
    return np.array([x1 + right, y1 + down, x2 + right, y2 + down], np.float32)
