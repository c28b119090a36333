"""The masks of posed instances in the newest frame, and what of them is hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from edgeseg.masks import THRESHOLD, SoftMask
from edgeseg.motion.align import Alignment
from edgeseg.motion.lattice import SIDE, Lattice, sampled
from edgeseg.motion.patches import BRIGHTNESS_GREY, Patches
from edgeseg.motion.picture import Picture
from edgeseg.opencv import opencv
from edgeseg.types import BoolArray, F32Array, I64Array, Instances

AROUND = 5
"""Cells along the side of the square over which changes are averaged."""
HIDDEN_GREY = 35
"""Change, in grey levels, from which on something else is seen at a cell."""
FRAGMENT = 0.1
"""Parts of a partly hidden mask that are smaller than this, over its largest part, are dropped."""
CONTESTED_CELLS = 4
"""Shared cells from which on two masks are taken to lie over each other."""


@dataclass(frozen=True, repr=False)
class Outlines:
    """N masks in the newest frame, each on its window's lattice of S x S cells."""

    lattice: Lattice
    then: F32Array
    """float32 (2, N, S, S): where the cells were in the anchor, in pixels; what lay outside is taken from the picture's edge."""
    values: F32Array
    """float32 (N, S, S): the masks, 0..1."""
    change: F32Array
    """float32 (N, S, S): mean difference in grey levels between the newest frame and the anchor around each cell."""

    @classmethod
    def of(cls, found: Instances, alignment: Alignment, newest: Picture, anchor: Picture) -> Outlines:
        """The anchor's masks as posed, nothing hidden yet."""
        height, width = found.image_hw
        lattice = Lattice.around(alignment.poses, found.image_hw)
        then = lattice.mapped(alignment.back)
        np.clip(then[0], 0.5, width - 0.5, out=then[0])
        np.clip(then[1], 0.5, height - 0.5, out=then[1])
        values = sampled(found, then)
        difference = _look(newest, lattice.points(), alignment.patches) - _look(anchor, then, alignment.patches)
        return cls(lattice, then, values, _local_change(difference, values > THRESHOLD))

    def mask(self, i: int) -> SoftMask:
        """One of the masks."""
        x1, y1, x2, y2 = self.lattice.windows[i].tolist()
        return SoftMask(self.values[i], (float(x1), float(y1), float(x2), float(y2)), (x1, y1, x2, y2))

    @property
    def extents(self) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 of the masks in pixels; zero where nothing is left of one."""
        return self.lattice.extents(self.values)

    def explained(self) -> F32Array:
        """float32 (N,): part of each mask where the newest frame shows what the anchor did."""
        inside = self.values > THRESHOLD
        same = np.count_nonzero(inside & (self.change <= HIDDEN_GREY), axis=(1, 2))
        part: F32Array = (same / np.maximum(np.count_nonzero(inside, axis=(1, 2)), 1)).astype(np.float32)
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
        values, inside = self.values.copy(), self.values > THRESHOLD
        for i, j in combinations(range(len(values)), 2):
            on_j, on_i = self._contested(found, inside, i, j), self._contested(found, inside, j, i)
            if on_j is None or on_i is None:
                continue
            if self.change[i][on_i].mean() < self.change[j][on_j].mean():
                values[j][on_j] = np.minimum(values[j], 1 - self._cover(i, j))[on_j]
            else:
                values[i][on_i] = np.minimum(values[i], 1 - self._cover(j, i))[on_i]
        return values

    def _contested(self, found: Instances, inside: BoolArray, i: int, j: int) -> BoolArray | None:
        """bool (S, S): cells of window ``j`` that both masks claim and that only ``j`` had in the anchor; None if they are few."""
        (left, top, right, bottom), (x1, y1, x2, y2) = self.lattice.windows[i].tolist(), self.lattice.windows[j].tolist()
        if left >= x2 or x1 >= right or top >= y2 or y1 >= bottom:
            return None
        columns = _slots(self.lattice.x[j], left, right)
        rows = _slots(self.lattice.y[j], top, bottom)
        both = np.zeros_like(inside[j])
        window = np.ix_(np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0))
        both[window] = inside[i][np.ix_(rows[rows >= 0], columns[columns >= 0])] & inside[j][window]
        if np.count_nonzero(both) < CONTESTED_CELLS:
            return None
        both &= found.masks.at(i, self.then[0, j], self.then[1, j]) <= THRESHOLD
        return both if np.count_nonzero(both) >= CONTESTED_CELLS else None

    def _cover(self, i: int, j: int) -> F32Array:
        """float32 (S, S): values of mask ``i`` at the cells of window ``j``."""
        x, y = np.meshgrid(self.lattice.x[j], self.lattice.y[j])
        return self.mask(i).at(x, y)


def _slots(at: F32Array, low: int, high: int) -> I64Array:
    """int64 (S,): in which of the S cells from ``low`` to ``high`` each position lies, -1 for none."""
    slots = np.floor((at - low) * np.float32(SIDE / (high - low))).astype(np.int64)
    return np.where((slots < 0) | (slots >= SIDE), -1, slots)


def _look(picture: Picture, points: F32Array, patches: Patches) -> F32Array:
    """float32 (N, S, S): what a picture shows at points (2, N, S, S) in pixels, on the level of each instance's patch."""
    cv2 = opencv()
    scale, top = patches.scale.astype(np.float32)[..., None, None], patches.top.astype(np.float32)[:, None, None]
    x = (points[0] * scale[:, 0] - np.float32(0.5)).reshape(len(scale), -1)
    y = (points[1] * scale[:, 1] + (top - np.float32(0.5))).reshape(len(scale), -1)
    seen = cv2.remap(picture.stacked, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grey: F32Array = seen.astype(np.float32).reshape(points.shape[1:])
    return grey


def _local_change(difference: F32Array, inside: BoolArray) -> F32Array:
    """float32 (N, S, S): mean absolute difference around each cell, without the brightness that all of a mask gained or lost."""
    cells = np.maximum(np.count_nonzero(inside, axis=(1, 2)), 1)
    common = np.einsum("nij,nij->n", difference, inside.astype(np.float32)) / cells
    common = np.clip(common, -BRIGHTNESS_GREY, BRIGHTNESS_GREY).astype(np.float32)
    absolute = np.abs(difference - common[:, None, None])
    # All lattices under each other; what leaks from one to the next lies in their margins.
    flat: F32Array = opencv().blur(absolute.reshape(-1, SIDE), (AROUND, AROUND))
    return flat.reshape(difference.shape)


def _without(values: F32Array, hidden: BoolArray) -> F32Array:
    """A mask float32 (S, S) without its hidden cells bool (S, S), and without the fragments that remain.

    Single cells are no evidence.
    """
    cv2 = opencv()
    gone = cv2.morphologyEx(hidden.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
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
