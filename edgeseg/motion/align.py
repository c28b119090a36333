"""Each instance's own motion since the anchor: a pose that makes the anchor's pixels inside its mask match the newest frame.

Dense flow at reduced size mixes an object's motion with that of what lies around it, and its errors add up over frames.
So it only predicts: the pose is then found by direct alignment against the anchor, inverse compositional Gauss-Newton steps
(Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004) with robust weights, for all instances at once.
"""

from __future__ import annotations

import numpy as np

from edgeseg.motion.base import Motion
from edgeseg.motion.patches import Patches
from edgeseg.motion.picture import Picture
from edgeseg.motion.texture import Textures
from edgeseg.types import F32Array, F64Array, Instances

STEPS = 2
"""Gauss-Newton steps a frame."""
NOISE_GREY = 12
"""Difference, in grey levels, from which on a point has less than half its weight."""
STIFFNESS = np.array([0.01, 0.01, 0.01, 0.01, 0.05, 0.05])
"""How much each parameter resists, over the mean certainty of all: stretch and shear are seldom real and easily noise."""
STEP_MAX = 0.3
"""How much one step may change a parameter: more is a leap in the dark."""
AREA_CHANGE_MAX = 16.0
"""How much larger or smaller than in the anchor an instance may become."""
TOGETHER = 0.5
"""Part of a mask in another from which on the two are taken for findings of one object."""
_IDENTITY = np.eye(3)


class Alignment:
    """The poses of N instances, followed from frame to frame. See `Patches` for what a pose is."""

    def __init__(self, found: Instances, anchor: Picture) -> None:
        self.found = found
        self.masks = Textures.of(found, _rest(found.boxes))
        self.patches = Patches.cut(self.masks, anchor)
        self.poses = self.patches.rest
        """float64 (N, 2, 3): where the instances are in the newest frame."""
        self.to_own = inverse(square(self.poses))
        """float64 (N, 3, 3): from pixels of the newest frame to own coordinates, the poses undone."""
        self.difference: F32Array = np.zeros_like(self.patches.grey)
        """float32 (N, P): how much brighter the newest frame is there than the anchor was, in grey levels."""
        self.weight = self.patches.weight
        """float32 (N, P): 1 for points inside their mask and in both pictures, else 0."""
        self._glance = self.patches.glance()
        self._glance_twice = self._glance.twice()
        self._together: dict[tuple[int, int], bool] = {}
        self._velocity: F64Array = np.zeros((len(found), 3, 3))

    def together(self, i: int, j: int) -> bool:
        """Whether most of one of two masks lay in the other in the anchor."""
        if (i, j) not in self._together:
            self._together[i, j] = max(self.masks.overlap(i, j), self.masks.overlap(j, i)) > TOGETHER
        return self._together[i, j]

    @property
    def back(self) -> F64Array:
        """float64 (N, 2, 3): affine matrices from pixels of the newest frame to pixels of the anchor."""
        back: F64Array = self.patches.rest @ self.to_own
        return back

    def advance(self, motion: Motion) -> None:
        """Follow the instances through one motion: they go on as before, or with the flow, whichever fits better."""
        last = self.poses
        going_on = last @ (_IDENTITY + motion.frames * self._velocity)
        carried = last.copy()
        carried[:, :, 2] -= self._glance.mean_flow(motion, last)
        either = np.concatenate([going_on, carried])
        off_going_on, off_carried = np.split(self._glimpse(either, motion.newer), 2)
        start = np.where((off_going_on < off_carried)[:, None, None], going_on, carried)
        self._settle(start, motion.newer)
        self._keep_size(carried)
        self._velocity = (self.to_own @ square(self.poses) - _IDENTITY) / motion.frames
        self.to_own = inverse(square(self.poses))

    def _keep_size(self, fallback: F64Array) -> None:
        """Take poses (N, 2, 3) instead of those that have shrunk or grown beyond belief: there is nothing to hold on to."""
        change = _area(self.poses) / _area(self.patches.rest)
        sane = (change > 1 / AREA_CHANGE_MAX) & (change < AREA_CHANGE_MAX)
        if not sane.all():
            self.poses = np.where(sane[:, None, None], self.poses, fallback)

    def _glimpse(self, poses: F64Array, picture: Picture) -> F32Array:
        """How far two poses for each instance, (2N, 2, 3), are off: float32 (2N,)."""
        weight = self._glance_twice.weight
        return _misfit(weight, _certainty(self._glance_twice.compare(picture, poses, weight), weight))

    def _settle(self, start: F64Array, picture: Picture) -> None:
        """Take Gauss-Newton steps from poses (N, 2, 3), and keep where they lead if that is better."""
        patches = self.patches
        poses, weight = start, patches.weight_inside(start)
        difference = first = patches.compare(picture, poses, weight)
        certainty = at_first = _certainty(difference, weight)
        for _ in range(STEPS):
            poses = _corrected(patches, poses, difference, certainty)
            difference = patches.compare(picture, poses, weight)
            certainty = _certainty(difference, weight)
        better = _misfit(weight, certainty) < _misfit(weight, at_first)
        self.poses = np.where(better[:, None, None], poses, start)
        self.difference, self.weight = np.where(better[:, None], difference, first), weight


def _rest(boxes: F32Array) -> F64Array:
    """float64 (N, 2, 3): the poses of boxes (N, 4), which are taken to be at least two pixels wide and high."""
    corners = boxes.astype(np.float64)
    rest = np.zeros((len(boxes), 2, 3))
    rest[:, :, 2] = (corners[:, :2] + corners[:, 2:]) / 2
    rest[:, [0, 1], [0, 1]] = np.maximum((corners[:, 2:] - corners[:, :2]) / 2, 1)
    return rest


def _corrected(patches: Patches, poses: F64Array, difference: F32Array, certainty: F32Array) -> F64Array:
    """Poses after one Gauss-Newton step against differences float32 (N, P) of points as certain as (N, P) says."""
    slopes = patches.slopes
    weighted = slopes * certainty[:, None]
    normal = (weighted @ slopes.transpose(0, 2, 1)).astype(np.float64)
    normal += (np.einsum("nii->n", normal) / len(STIFFNESS) + 1)[:, None, None] * np.diag(STIFFNESS)
    steps = np.clip(np.linalg.solve(normal, weighted @ difference[..., None]), -STEP_MAX, STEP_MAX)
    # The change that makes the anchor look like the picture, undone; to first order, and it vanishes as the steps do.
    undone = _IDENTITY[:2] - (steps.transpose(0, 2, 1) @ patches.changes).reshape(-1, 2, 3)
    corrected: F64Array = poses @ square(undone)
    return corrected


def _certainty(difference: F32Array, weight: F32Array) -> F32Array:
    """float32 (N, P): the weight of points, less where they differ (Cauchy)."""
    certainty: F32Array = weight / (1 + (difference * np.float32(1 / NOISE_GREY)) ** 2)
    return certainty


def _misfit(weight: F32Array, certainty: F32Array) -> F32Array:
    """float32 (N,): how badly a pose fits, up to a constant; a point outside the picture is as bad as one that is halfway off."""
    misfit: F32Array = np.float32(0.5) * weight.sum(axis=1) - certainty.sum(axis=1)
    return misfit


def _area(poses: F64Array) -> F64Array:
    """float64 (N,): determinants of the poses (N, 2, 3), a quarter of the area of what they pose."""
    area: F64Array = poses[:, 0, 0] * poses[:, 1, 1] - poses[:, 0, 1] * poses[:, 1, 0]
    return area


def square(affine: F64Array) -> F64Array:
    """Affine matrices float64 (N, 2, 3) with their last row: (N, 3, 3)."""
    whole = np.empty((len(affine), 3, 3))
    whole[:, :2], whole[:, 2] = affine, _IDENTITY[2]
    return whole


def inverse(affine: F64Array) -> F64Array:
    """Inverses of affine matrices float64 (N, 3, 3)."""
    return np.asarray(np.linalg.inv(affine), np.float64)
