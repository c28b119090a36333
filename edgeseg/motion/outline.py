"""The masks of posed instances in the newest frame, each on a lattice of its own, and what of them is hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from edgeseg.masks import THRESHOLD, SoftMask
from edgeseg.motion.align import Alignment, inverse, square
from edgeseg.motion.lattice import SIDE, around, extents, middles, sampled
from edgeseg.motion.patches import BRIGHTNESS_GREY
from edgeseg.motion.picture import LEVELS, Picture
from edgeseg.opencv import opencv
from edgeseg.types import BoolArray, F32Array, F64Array, I64Array, Instances

AROUND = 5
"""Cells along the side of the square over which changes are averaged."""
HIDDEN_GREY = 30.0
"""Change, in grey levels, from which on something else is seen at a cell."""
FRAGMENT = 0.1
"""Parts of a partly hidden mask that are smaller than this, over its largest part, are dropped."""
CONTESTED_CELLS = 4
"""Shared cells from which on two masks are taken to lie over each other."""


@dataclass(frozen=True, repr=False)
class Outlines:
    """N masks in the newest frame on lattices of S x S cells."""

    windows: I64Array
    """int64 (N, 4): x1, y1, x2, y2, the whole pixels that a lattice covers; without area for what has left the picture."""
    now: F32Array
    """float32 (2, N, S, S): x and y of the cells' middles, in pixels of the newest frame."""
    then: F32Array
    """float32 (2, N, S, S): where those were in the anchor; what lay outside is taken from the picture's edge."""
    values: F32Array
    """float32 (N, S, S): the masks, 0..1."""
    change: F32Array
    """float32 (N, S, S): mean difference in grey levels between the newest frame and the anchor around each cell."""

    @classmethod
    def of(cls, found: Instances, alignment: Alignment, newest: Picture, anchor: Picture) -> Outlines:
        """The anchor's masks as posed."""
        height, width = found.image_hw
        windows = around(alignment.poses, found.image_hw)
        now = middles(windows)
        then = _mapped(now, square(alignment.patches.rest) @ inverse(square(alignment.poses)))
        np.clip(then[0], 0.5, width - 0.5, out=then[0])
        np.clip(then[1], 0.5, height - 0.5, out=then[1])
        values = sampled(found, then)
        scale, top = _levels(windows, newest)
        difference = _look(newest, now, scale, top) - _look(anchor, then, scale, top)
        return cls(windows, now, then, values, _local_change(difference, values > THRESHOLD))

    def mask(self, i: int) -> SoftMask:
        """One of the masks."""
        x1, y1, x2, y2 = self.windows[i].tolist()
        return SoftMask(self.values[i], (float(x1), float(y1), float(x2), float(y2)), (x1, y1, x2, y2))

    @property
    def extents(self) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 of the masks in pixels."""
        return extents(self.values, self.windows)

    def explained(self) -> F32Array:
        """float32 (N,): part of each mask where the newest frame shows what the anchor did."""
        inside = self.values > THRESHOLD
        same = (inside & (self.change <= HIDDEN_GREY)).sum(axis=(1, 2))
        part: F32Array = (same / np.maximum(inside.sum(axis=(1, 2)), 1)).astype(np.float32)
        return part

    def visible(self, found: Instances) -> Outlines:
        """The masks without what other instances or anything else has come to hide."""
        values = self._without_covered(found)
        hidden = (values > THRESHOLD) & (self.change > HIDDEN_GREY)
        for i in np.flatnonzero(hidden.any(axis=(1, 2))):
            values[i] = _without(values[i], hidden[i])
        return replace(self, values=values)

    def _without_covered(self, found: Instances) -> F32Array:
        """float32 (N, S, S): where two masks have come to lie over each other, the cells are left to the one that is seen there.

        What they shared in the anchor stays shared: two boxes may have been found on one object.
        """
        values = self.values.copy()
        for i, j in combinations(range(len(values)), 2):
            if not _meet(self.windows[i], self.windows[j]):
                continue
            cover_of_j, on_j = self._contested(found, i, j)
            if np.count_nonzero(on_j) < CONTESTED_CELLS:
                continue
            cover_of_i, on_i = self._contested(found, j, i)
            if np.count_nonzero(on_i) < CONTESTED_CELLS:
                continue
            if self.change[i][on_i].mean() < self.change[j][on_j].mean():
                values[j][on_j] = np.minimum(values[j], 1 - cover_of_j)[on_j]
            else:
                values[i][on_i] = np.minimum(values[i], 1 - cover_of_i)[on_i]
        return values

    def _contested(self, found: Instances, i: int, j: int) -> tuple[F32Array, BoolArray]:
        """On the cells of mask ``j``: values float32 (S, S) of mask ``i``, and bool (S, S) where both claim what only ``j`` had."""
        cover = self.mask(i).at(self.now[0, j], self.now[1, j])
        both = (cover > THRESHOLD) & (self.values[j] > THRESHOLD)
        if not both.any():
            return cover, both
        return cover, both & (found.masks.at(i, self.then[0, j], self.then[1, j]) <= THRESHOLD)


def _mapped(points: F32Array, affine: F64Array) -> F32Array:
    """float32 (2, N, S, S): points moved by one affine matrix (N, 3, 3) for each lattice."""
    matrix = affine.astype(np.float32)[..., None, None]
    return np.stack([matrix[:, row, 0] * points[0] + matrix[:, row, 1] * points[1] + matrix[:, row, 2] for row in range(2)])


def _levels(windows: I64Array, picture: Picture) -> tuple[F32Array, F32Array]:
    """Scale float32 (N, 2) and first row (N,) of the level whose pixels are about as large as a window's cells."""
    height, width = picture.image_hw
    scales = np.array([(level.shape[1] / width, level.shape[0] / height) for level in picture.levels], np.float32)
    tops = np.cumsum([0, *(level.shape[0] for level in picture.levels[:-1])]).astype(np.float32)
    side = np.maximum((windows[:, 2:] - windows[:, :2]).max(axis=1, initial=1), 1) / SIDE * scales[0].max()
    level = np.clip(np.rint(np.log2(side)), 0, LEVELS - 1).astype(np.intp)
    return scales[level], tops[level]


def _look(picture: Picture, points: F32Array, scale: F32Array, top: F32Array) -> F32Array:
    """float32 (N, S, S): what a picture shows at points (2, N, S, S) on the levels chosen."""
    cv2 = opencv()
    count = points.shape[1]
    x = (points[0] * scale[:, 0, None, None] - np.float32(0.5)).reshape(count, -1)
    y = (points[1] * scale[:, 1, None, None] + (top - np.float32(0.5))[:, None, None]).reshape(count, -1)
    seen = cv2.remap(picture.stacked, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grey: F32Array = seen.astype(np.float32).reshape(points.shape[1:])
    return grey


def _local_change(difference: F32Array, inside: BoolArray) -> F32Array:
    """float32 (N, S, S): mean absolute difference around each cell, without the brightness that all of a mask gained or lost."""
    cells = np.maximum(inside.sum(axis=(1, 2)), 1)
    common = np.einsum("nij,nij->n", difference, inside.astype(np.float32)) / cells
    common = np.clip(common, -BRIGHTNESS_GREY, BRIGHTNESS_GREY).astype(np.float32)
    absolute = np.abs(difference - common[:, None, None])
    # All lattices under each other; what leaks from one to the next lies in their margins.
    flat: F32Array = opencv().blur(absolute.reshape(-1, SIDE), (AROUND, AROUND))
    return flat.reshape(difference.shape)


def _meet(a: I64Array, b: I64Array) -> bool:
    return bool(max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3]))


def _without(values: F32Array, hidden: BoolArray) -> F32Array:
    """A mask float32 (S, S) without its hidden cells bool (S, S), and without the fragments that remain.

    Single cells are no evidence, and cells enclosed by what is seen belong to it.
    """
    cv2 = opencv()
    square_3 = np.ones((3, 3), np.uint8)
    gone = cv2.morphologyEx(hidden.view(np.uint8), cv2.MORPH_OPEN, square_3)
    if not gone.any():
        return values
    kept = values.copy()
    kept[gone.view(bool)] = 0
    count, parts, stats, _ = cv2.connectedComponentsWithStats((kept > THRESHOLD).view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    for part in range(1, count):
        if areas[part - 1] < FRAGMENT * areas.max():
            kept[parts == part] = 0
    return kept
