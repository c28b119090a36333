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
    """A box of the last frame, float32 (4,), where its middle is now."""
    middle = (box[:2] + box[2:]) / 2
    now = np.linalg.solve(step[:, :2], middle - step[:, 2])
    return (box + np.tile(now - middle, 2)).astype(np.float32)
