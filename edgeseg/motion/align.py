"""Each instance's own motion since the anchor: an affine pose that makes the anchor's pixels inside its mask match the newest frame.

Dense flow at reduced size mixes an object's motion with that of what lies around it, and its errors add up over frames.
So it only predicts: the pose is then found by direct alignment against the anchor, inverse compositional Gauss-Newton steps
(Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004) with robust weights, for all instances at once.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from edgeseg.motion.base import Motion
from edgeseg.motion.lattice import around, extents, middles, sampled
from edgeseg.motion.patches import Patches
from edgeseg.motion.picture import Picture
from edgeseg.types import F32Array, F64Array, Instances

STEPS = 3
"""Gauss-Newton steps a frame."""
NOISE_GREY = 10.0
"""Differences, in grey levels, that count half."""
STIFFNESS = np.array([0.01, 0.01, 0.01, 0.01, 0.05, 0.05])
"""How much each parameter resists, over the mean certainty of all: stretch and shear are seldom real and easily noise."""
LOOKS = 2
"""Times the flow is read on the way to the predicted place, which is where it should be read."""


class Alignment:
    """The poses of N instances, followed from frame to frame."""

    def __init__(self, found: Instances, anchor: Picture) -> None:
        self.found = found
        self.patches = Patches.cut(found, anchor)
        self.poses = self.patches.rest
        """float64 (N, 2, 3): from a box's own coordinates, -1..1 along its sides in the anchor, to pixels of the newest frame."""
        self.misfit: F32Array = np.zeros(len(found), np.float32)
        """float32 (N,): how badly the newest frame fits, 0..1; 0.5 where every pixel is off by `NOISE_GREY`."""
        self._velocity: F64Array = np.broadcast_to(np.eye(3), (len(found), 3, 3)).copy()

    @cached_property
    def extents(self) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 in pixels of the masks in the anchor."""
        windows = around(self.patches.rest, self.found.image_hw)
        return extents(sampled(self.found, middles(windows)), windows)

    def advance(self, motion: Motion) -> None:
        """Follow the instances through one motion."""
        if not len(self.found):
            return
        patches, last = self.patches, self.poses
        going_on = last @ self._velocity
        carried = _carried(patches, last, motion)
        poses = np.where((self._misfit(going_on, motion.newer) < self._misfit(carried, motion.newer))[:, None, None], going_on, carried)
        self.poses, self.misfit = self._settled(poses, motion.newer)
        self._velocity = inverse(square(last)) @ square(self.poses)

    def _settled(self, poses: F64Array, picture: Picture) -> tuple[F64Array, F32Array]:
        """The best poses on the way of the Gauss-Newton steps, the first included, and their misfit."""
        best, least = poses, np.full(len(poses), np.inf, np.float32)
        for step in range(STEPS + 1):
            difference, weight = self.patches.compare(picture, poses)
            ratio = (difference / np.float32(NOISE_GREY)) ** 2
            misfit = self._mean(ratio / (1 + ratio), weight)
            better = misfit < least
            best, least = np.where(better[:, None, None], poses, best), np.where(better, misfit, least)
            if step < STEPS:
                poses = self._corrected(poses, difference, weight / (1 + ratio) ** 2)
        return best, least

    def _misfit(self, poses: F64Array, picture: Picture) -> F32Array:
        difference, weight = self.patches.compare(picture, poses)
        ratio = (difference / np.float32(NOISE_GREY)) ** 2
        return self._mean(ratio / (1 + ratio), weight)

    def _mean(self, values: F32Array, weight: F32Array) -> F32Array:
        """Over an instance's pixels; those outside the picture count half."""
        unseen = self.patches.total - weight.sum(axis=1)
        mean: F32Array = (np.einsum("np,np->n", values, weight) + np.float32(0.5) * unseen) / np.maximum(self.patches.total, 1)
        return mean

    def _corrected(self, poses: F64Array, difference: F32Array, weight: F32Array) -> F64Array:
        """Poses after one Gauss-Newton step against the differences float32 (N, P)."""
        slopes = self.patches.slopes
        weighted = slopes * weight[:, None]
        normal = (weighted @ slopes.transpose(0, 2, 1)).astype(np.float64)
        certainty = np.trace(normal, axis1=1, axis2=2) / len(STIFFNESS) + 1
        normal += certainty[:, None, None] * np.diag(STIFFNESS)
        steps = np.asarray(np.linalg.solve(normal, weighted @ difference[..., None])[..., 0], np.float64)
        moved: F64Array = poses @ inverse(self.patches.change(steps))
        return moved


def inverse(affine: F64Array) -> F64Array:
    """Inverses of affine matrices float64 (N, 3, 3)."""
    return np.asarray(np.linalg.inv(affine), np.float64)


def square(poses: F64Array) -> F64Array:
    """Affine matrices float64 (N, 2, 3) with their last row: (N, 3, 3)."""
    bottom = np.broadcast_to(np.array([[0.0, 0.0, 1.0]]), (len(poses), 1, 3))
    return np.concatenate([poses, bottom], axis=1)


def _carried(patches: Patches, poses: F64Array, motion: Motion) -> F64Array:
    """Poses moved by the mean flow inside the masks."""
    moved = poses
    for _ in range(LOOKS):
        moved = poses.copy()
        moved[:, :, 2] -= patches.mean_flow(motion, moved)
    return moved
