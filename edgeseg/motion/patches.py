"""What the anchor frame shows inside each instance's mask, sampled on one small lattice per box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.motion.base import Motion
from edgeseg.motion.flows import look_up
from edgeseg.motion.picture import LEVELS, Picture, stack
from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, F32Array, F64Array, Instances, SizeHW

SIDE = 24
"""Points along each side of a box."""
SPACING = 1.4
"""Of the points, in pixels of the level that is looked at: finer would only see noise, coarser would skip detail."""
SOBEL_SCALE = 1 / 8
BRIGHTNESS_GREY = 8
"""An instance may become this much brighter or darker as a whole and still be itself. More would let it slide over its background."""
RIM = 0.3
"""Mask value from which on points count: with a thin rim, outlines are matched and not only what is between them."""


@dataclass(frozen=True, repr=False)
class Patches:
    """N boxes with P points each. A box's own coordinates run from -1 to 1 along its sides."""

    rest: F64Array
    """float64 (N, 2, 3): from a box's own coordinates to pixels of the anchor."""
    points: F32Array
    """float32 (3, P): own coordinates u and v of the points, and 1."""
    weight: F32Array
    """float32 (N, P): 1 for points inside the mask and the picture, else 0."""
    total: F32Array
    """float32 (N,): sum of the weights."""
    grey: F32Array
    """float32 (N, P): what the anchor shows there."""
    slopes: F32Array
    """float32 (N, 6, P): change of that per unit of scale, turn, shift along u, along v, stretch and shear."""
    scale: F64Array
    """float64 (N, 2): pixels of the frame to pixels of the level each box is looked at, x and y."""
    top: F64Array
    """float64 (N,): first row of that level in `Picture.stacked`."""
    image_hw: SizeHW

    @classmethod
    def cut(cls, found: Instances, anchor: Picture) -> Patches:
        """The patches of instances found in the anchor."""
        height, width = anchor.image_hw
        lattice = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / SIDE) - 1
        u, v = (axis.ravel() for axis in np.meshgrid(lattice, lattice))
        points = np.stack([u, v, np.ones_like(u)])
        rest = _rest(found.boxes)
        x, y = rest[:, 0].astype(np.float32) @ points, rest[:, 1].astype(np.float32) @ points
        weight = np.zeros(x.shape, np.float32)
        for i in range(len(found)):
            weight[i] = found.masks.at(i, x[i : i + 1], y[i : i + 1])[0] > RIM
        weight *= (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
        scale, top = _level(rest, anchor)
        blank = np.zeros((len(found), 6, x.shape[1]), np.float32)
        bare = cls(rest, points, weight, weight.sum(axis=1), weight, blank, scale, top, anchor.image_hw)
        return bare._with_look(anchor)

    def _with_look(self, anchor: Picture) -> Patches:
        cv2 = opencv()
        grey = self.look(anchor.stacked, self.rest)
        across = [cv2.Sobel(level, cv2.CV_32F, 1, 0, scale=SOBEL_SCALE) for level in anchor.levels]
        down = [cv2.Sobel(level, cv2.CV_32F, 0, 1, scale=SOBEL_SCALE) for level in anchor.levels]
        half = np.stack([self.rest[:, 0, 0] * self.scale[:, 0], self.rest[:, 1, 1] * self.scale[:, 1]]).astype(np.float32)
        du = self.look(stack(tuple(across)), self.rest) * half[0][:, None]
        dv = self.look(stack(tuple(down)), self.rest) * half[1][:, None]
        u, v = self.points[:2]
        aspect = self.aspect.astype(np.float32)[:, None]
        turned, sheared = dv * (u / aspect), du * (v * aspect)
        slopes = np.stack([du * u + dv * v, turned - sheared, du, dv, du * u - dv * v, turned + sheared], axis=1)
        return Patches(self.rest, self.points, self.weight, self.total, grey, slopes, self.scale, self.top, self.image_hw)

    @property
    def aspect(self) -> F64Array:
        """float64 (N,): height over width of the boxes."""
        ratio: F64Array = self.rest[:, 1, 1] / self.rest[:, 0, 0]
        return ratio

    def change(self, steps: F64Array) -> F64Array:
        """Affine matrices float64 (N, 3, 3) in a box's own coordinates, for parameters (N, 6) in the order of ``slopes``."""
        scale, turn, shift_u, shift_v, stretch, shear = steps.T
        change = np.zeros((len(steps), 3, 3))
        change[:, 0] = np.stack([1 + scale + stretch, (shear - turn) * self.aspect, shift_u], axis=1)
        change[:, 1] = np.stack([(shear + turn) / self.aspect, 1 + scale - stretch, shift_v], axis=1)
        change[:, 2, 2] = 1
        return change

    def look(self, stacked: AnyArray, poses: F64Array) -> F32Array:
        """float32 (N, P): what stacked levels show at the points as posed."""
        cv2 = opencv()
        x, y = self._on_level(poses)
        seen: F32Array = cv2.remap(stacked, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        return seen

    def compare(self, picture: Picture, poses: F64Array) -> tuple[F32Array, F32Array]:
        """How much brighter a picture is than the anchor at the points as posed, and the weight of the points inside it.

        Returns:
            float32 (N, P) each. What all of an instance has in common is taken off, up to `BRIGHTNESS_GREY`.
        """
        cv2 = opencv()
        x, y = self._on_level(poses)
        difference = cv2.remap(picture.stacked, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) - self.grey
        right = (self.image_hw[1] * self.scale[:, :1] - 0.5).astype(np.float32)
        top = (self.top[:, None] - 0.5).astype(np.float32)
        bottom = top + (self.image_hw[0] * self.scale[:, 1:]).astype(np.float32)
        weight = self.weight * ((x >= -0.5) & (x <= right) & (y >= top) & (y <= bottom))
        common = np.einsum("np,np->n", difference, weight) / np.maximum(weight.sum(axis=1), 1)
        difference -= np.clip(common, -BRIGHTNESS_GREY, BRIGHTNESS_GREY)[:, None]
        return difference, weight

    def mean_flow(self, motion: Motion, poses: F64Array) -> F64Array:
        """float64 (N, 2): mean backward displacement at the points as posed, x and y in pixels of the frame."""
        rows, columns = motion.backward.shape[:2]
        cell = np.array([self.image_hw[1] / columns, self.image_hw[0] / rows])
        x, y = ((poses[:, axis] / cell[axis]).astype(np.float32) @ self.points - np.float32(0.5) for axis in range(2))
        flow = look_up(motion.backward, np.stack([x, y], axis=2))
        mean: F64Array = np.einsum("npc,np->nc", flow, self.weight) / np.maximum(self.total, 1)[:, None] * cell
        return mean

    def _on_level(self, poses: F64Array) -> tuple[F32Array, F32Array]:
        """float32 (N, P) each: x and y in `Picture.stacked` of the points as posed."""
        across = poses[:, 0] * self.scale[:, :1] - [0, 0, 0.5]
        down = poses[:, 1] * self.scale[:, 1:]
        down[:, 2] += self.top - 0.5
        return across.astype(np.float32) @ self.points, down.astype(np.float32) @ self.points


def _rest(boxes: F32Array) -> F64Array:
    """float64 (N, 2, 3): the affine matrices that spread -1..1 over boxes (N, 4), which are at least two pixels wide and high."""
    corners = boxes.astype(np.float64)
    rest = np.zeros((len(boxes), 2, 3))
    rest[:, :, 2] = (corners[:, :2] + corners[:, 2:]) / 2
    rest[:, [0, 1], [0, 1]] = np.maximum((corners[:, 2:] - corners[:, :2]) / 2, 1)
    return rest


def _level(rest: F64Array, picture: Picture) -> tuple[F64Array, F64Array]:
    """Scale float64 (N, 2) and first row (N,) of the level on which the points of each box are about `SPACING` pixels apart."""
    height, width = picture.image_hw
    scales = np.array([(level.shape[1] / width, level.shape[0] / height) for level in picture.levels])
    tops = np.cumsum([0, *(level.shape[0] for level in picture.levels[:-1])])
    apart = np.maximum(rest[:, 0, 0], rest[:, 1, 1]) * 2 / SIDE * scales[0].max()
    level = np.clip(np.rint(np.log2(apart / SPACING)), 0, LEVELS - 1).astype(np.intp)
    return scales[level], tops[level].astype(np.float64)
