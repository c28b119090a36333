"""What the anchor frame shows inside each instance's mask, sampled on one small lattice per box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgeseg.motion.base import Motion
from edgeseg.motion.picture import LEVELS, Picture
from edgeseg.motion.texture import Textures, to_texels
from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, BoolArray, F32Array, F64Array, SizeHW

SIDE = 20
"""Points along each side of a box."""
SPACING = 2.0
"""Of the points, in pixels of the level that is looked at: finer would only see noise, coarser would skip detail."""
RIM = 0.3
"""Mask value from which on points count: with a thin rim, outlines are matched and not only what is between them."""
BRIGHTNESS_GREY = 5
"""An instance may become this much brighter or darker as a whole and still be itself. More would let it slide over its background."""


@dataclass(frozen=True, repr=False)
class Patches:
    """N boxes with P points each. A box's own coordinates run from -1 to 1 along its sides.

    A pose is an affine matrix (2, 3) from a box's own coordinates to pixels of a frame, whose top left corner is (0, 0).
    """

    rest: F64Array
    """float64 (N, 2, 3): the poses in the anchor."""
    points: F32Array
    """float32 (3, P): own coordinates u and v of the points, and 1."""
    weight: F32Array
    """float32 (N, P): 1 for points inside the mask and the picture, else 0."""
    grey: F32Array
    """float32 (N, P): what the anchor shows there."""
    slopes: F32Array
    """float32 (N, 6, P): how that changes with scale, turn, shift along u and along v, stretch and shear."""
    changes: F64Array
    """float64 (N, 6, 6): what each of these adds to an affine matrix (2, 3) in own coordinates, row by row."""
    scale: F64Array
    """float64 (N, 2): pixels of a frame to pixels of the level each box is looked at, x and y."""
    start: F64Array
    """float64 (N, 2): where in `Picture.stacked` the frame's top left corner lies on that level, if pixels' middles are whole numbers."""
    image_hw: SizeHW

    @classmethod
    def cut(cls, masks: Textures, anchor: Picture) -> Patches:
        """What the anchor shows inside masks found in it."""
        lattice = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / SIDE) - 1
        u, v = (axis.ravel() for axis in np.meshgrid(lattice, lattice))
        points = np.stack([u, v, np.ones_like(u)])
        rest = masks.rest
        scale, start = _level(rest, anchor)
        weight = _weight(masks, points, anchor.image_hw)
        aspect = rest[:, 1, 1] / rest[:, 0, 0]
        changes = _changes(aspect)
        bare = cls(rest, points, weight, weight, weight[:, None], changes, scale, start, anchor.image_hw)
        grey = bare.look(anchor.stacked, rest)
        return replace(bare, grey=grey, slopes=_slopes(grey, points, changes))

    @cached_property
    def total(self) -> F32Array:
        """float32 (N,): sum of the weights, at least 1."""
        total: F32Array = np.maximum(self.weight.sum(axis=1), np.float32(1))
        return total

    def glance(self) -> Patches:
        """A quicker look: every second point each way."""
        kept = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)[::2, ::2].ravel()
        points, weight, grey = self.points[:, kept], self.weight[:, kept], self.grey[:, kept]
        return replace(self, points=points, weight=weight, grey=grey, slopes=self.slopes[:, :, kept])

    def twice(self) -> Patches:
        """All patches, and all once more: 2N."""
        rows = np.tile(np.arange(len(self.rest)), 2)
        own = {name: getattr(self, name)[rows] for name in ("rest", "weight", "grey", "slopes", "changes", "scale", "start")}
        return replace(self, **own)

    def look(self, stacked: AnyArray, poses: F64Array) -> F32Array:
        """float32 (N, P): what stacked levels show at the points as posed."""
        cv2 = opencv()
        on_level = poses * self.scale[:, :, None]
        on_level[:, :, 2] += self.start
        at = on_level.astype(np.float32) @ self.points
        seen: F32Array = cv2.remap(stacked, at[:, 0], at[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        return seen

    def compare(self, picture: Picture, poses: F64Array, weight: F32Array) -> F32Array:
        """How much brighter a picture is than the anchor at the points as posed, float32 (N, P).

        What all points of an instance, by weight (N, P), have in common is taken off, up to `BRIGHTNESS_GREY`.
        """
        difference = self.look(picture.stacked, poses)
        difference -= self.grey
        common = np.einsum("np,np->n", difference, weight) / self.total
        difference -= np.maximum(np.minimum(common, BRIGHTNESS_GREY), -BRIGHTNESS_GREY)[:, None]
        return difference

    def weight_inside(self, poses: F64Array) -> F32Array:
        """float32 (N, P): the weight of the points that lie inside the picture as posed."""
        middle, reach = poses[:, :, 2], np.abs(poses[:, :, :2]).sum(axis=2)
        beyond = (middle < reach) | (middle + reach > self.image_hw[::-1])
        if not beyond.any():
            return self.weight
        rows = np.flatnonzero(beyond.any(axis=1))
        weight = self.weight.copy()
        weight[rows] *= _inside(poses[rows].astype(np.float32) @ self.points, self.image_hw)
        return weight

    def mean_flow(self, motion: Motion, poses: F64Array) -> F64Array:
        """float64 (N, 2): mean backward displacement at the points as posed, x and y in pixels of the frame."""
        cv2 = opencv()
        rows, columns = motion.backward.shape[:2]
        cell = np.array([self.image_hw[1] / columns, self.image_hw[0] / rows])
        in_cells = (poses / cell[:, None]).astype(np.float32)
        in_cells[:, :, 2] -= 0.5
        at = in_cells @ self.points
        flow = cv2.remap(motion.backward, at[:, 0], at[:, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mean: F64Array = (self.weight[:, None] @ flow)[:, 0] / self.total[:, None] * cell
        return mean


def _slopes(grey: F32Array, points: F32Array, changes: F64Array) -> F32Array:
    """float32 (N, 6, P); see `Patches.slopes`. The points lie dense enough for differences between neighbours to be slopes."""
    lattice, step = grey.reshape(-1, SIDE, SIDE), np.float32(2 / SIDE)
    across, down = np.zeros_like(lattice), np.zeros_like(lattice)
    across[:, :, 1:-1] = (lattice[:, :, 2:] - lattice[:, :, :-2]) / (2 * step)
    down[:, 1:-1] = (lattice[:, 2:] - lattice[:, :-2]) / (2 * step)
    # The chain rule: slope along u and v, times how a parameter moves a point (u, v, 1).
    moved = np.stack([slope.reshape(grey.shape) * part for slope in (across, down) for part in points], axis=1)
    slopes: F32Array = changes.astype(np.float32) @ moved
    return slopes


def _weight(masks: Textures, points: F32Array, image_hw: SizeHW) -> F32Array:
    """float32 (N, P): 1 for points inside their mask and the picture, else 0."""
    x, y = to_texels(points[:2])
    count = len(masks.rest)
    covered = masks.look(np.tile(x, (count, 1)), np.tile(y, (count, 1))) > RIM
    return (covered & _inside(masks.rest.astype(np.float32) @ points, image_hw)).astype(np.float32)


def _inside(at: AnyArray, image_hw: SizeHW) -> BoolArray:
    """bool (N, P): which points (N, 2, P), x and y in pixels, lie inside the picture."""
    return np.asarray(((at >= 0) & (at <= np.array([[image_hw[1]], [image_hw[0]]], np.float32))).all(axis=1))


def _level(rest: F64Array, picture: Picture) -> tuple[F64Array, F64Array]:
    """Scale and start, float64 (N, 2) each, of the level on which the points of each box are about `SPACING` pixels apart."""
    height, width = picture.image_hw
    scales = np.array([(level.shape[1] / width, level.shape[0] / height) for level in picture.levels])
    tops = np.cumsum([0, *(level.shape[0] for level in picture.levels[:-1])])
    apart = np.maximum(rest[:, 0, 0], rest[:, 1, 1]) * 2 / SIDE * scales[0].max()
    level = np.clip(np.rint(np.log2(apart / SPACING)), 0, LEVELS - 1).astype(np.intp)
    return scales[level], np.stack([np.zeros(len(level)), tops[level]], axis=1) - 0.5


def _changes(aspect: F64Array) -> F64Array:
    """float64 (N, 6, 6); see `Patches.changes`. Turn and shear need the boxes' height over width to be those of the picture."""
    changes = np.zeros((len(aspect), 6, 2, 3))
    scale, turn, shift_u, shift_v, stretch, shear = (changes[:, parameter] for parameter in range(6))
    scale[:, 0, 0] = scale[:, 1, 1] = stretch[:, 0, 0] = 1
    stretch[:, 1, 1] = -1
    turn[:, 0, 1], shear[:, 0, 1] = -aspect, aspect
    turn[:, 1, 0] = shear[:, 1, 0] = 1 / aspect
    shift_u[:, 0, 2] = shift_v[:, 1, 2] = 1
    return changes.reshape(len(aspect), 6, 6)
