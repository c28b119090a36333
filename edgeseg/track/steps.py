"""How far each track has moved since the last frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.motion import Motion, Trail
from edgeseg.track.affine import shift
from edgeseg.track.memory import Track
from edgeseg.types import F32Array, Instances

_GROWTH_MAX = 2.0
"""Nothing becomes so many times larger or smaller, in area, from one frame to the next: such a step is an error."""


def shifts(tracks: Sequence[Track], motion: Motion | None) -> list[F32Array]:
    """Steps by the mean flow in each track's box, or by its velocity where it is out of sight or no flow is known."""
    return [shift(track.velocity if motion is None or track.mask is None else mean_shift(motion, track.box)) for track in tracks]


def aligned(found: Instances, motion: Motion) -> dict[int, F32Array]:
    """Id -> step of the last frame's instances, found by aligning what each showed with the new frame.

    Far closer than a mean of the flow, and dearer. Steps that cannot be are left out.
    """
    tracked = found.select(found.track_ids >= 0)
    if not len(tracked):
        return {}
    trail = Trail()
    trail.add(motion)
    steps = trail.align(tracked).back[:, :2].astype(np.float32)
    growth = np.linalg.det(steps[:, :, :2])
    return {int(tracked.track_ids[i]): steps[i] for i in np.flatnonzero((growth > 1 / _GROWTH_MAX) & (growth < _GROWTH_MAX))}


def mean_shift(motion: Motion, box: F32Array) -> F32Array:
    """How far the content of a box float32 (4,) has moved on average: float32 (2,), x and y in pixels."""
    (rows, columns), (height, width) = motion.backward.shape[:2], motion.image_hw
    x1, y1, x2, y2 = box.tolist()
    left, right = _cells(x1 * columns / width, x2 * columns / width, columns)
    top, bottom = _cells(y1 * rows / height, y2 * rows / height, rows)
    mean = motion.backward[top:bottom, left:right].mean(axis=(0, 1))
    return np.array([-mean[0] * width / columns, -mean[1] * height / rows], np.float32)


def _cells(low: float, high: float, count: int) -> tuple[int, int]:
    first = int(min(max(low, 0), count - 1))
    return first, int(min(max(high, first + 1), count))
