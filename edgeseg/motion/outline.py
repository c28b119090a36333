"""The masks of posed instances in the newest frame, and what of them is hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edgeseg.masks import THRESHOLD, SoftMask
from edgeseg.motion.align import Alignment
from edgeseg.motion.lattice import SIDE, Lattice
from edgeseg.motion.texture import to_texels
from edgeseg.opencv import opencv
from edgeseg.types import BoolArray, F32Array

AROUND = 3
"""Points along the side of the square over which changes are averaged."""
SAME_GREY = 15
"""Change, in grey levels, up to which a point is explained by the anchor."""
HIDDEN_GREY = 35
"""Change, in grey levels, from which on something else is seen at a point."""
FRAGMENT = 0.1
"""Parts of a partly hidden mask that are smaller than this, over its largest part, are dropped."""
OUTSIDE = 0.25
"""Value of a mask below which a cell was clearly not its own in the anchor."""
CONTESTED_CELLS = 4
"""Shared cells from which on two masks are taken to lie over each other."""


class _Overlap(NamedTuple):
    """Cells of one window that lie in another."""

    rows: slice
    columns: slice
    cells: BoolArray
    """bool (rows, columns)."""
    row: F32Array
    """float32 (rows,): where those are among the cells of the other window."""
    column: F32Array
    """float32 (columns,)."""


@dataclass(frozen=True, repr=False)
class Outlines:
    """N masks in the newest frame, each on its window's lattice of S x S cells."""

    lattice: Lattice
    own: F32Array
    """float32 (2, N, S, S): the cells' middles in the own coordinates of the boxes."""
    values: F32Array
    """float32 (N, S, S): the masks, 0..1."""
    alignment: Alignment
    change: F32Array
    """float32 (N, R, R): mean difference in grey levels between newest frame and anchor around the points of each patch;
    0 where none is in the mask."""

    @classmethod
    def of(cls, alignment: Alignment) -> Outlines:
        """The anchor's masks as posed, nothing hidden yet."""
        lattice = Lattice.around(alignment.poses, alignment.found.image_hw)
        own = lattice.mapped(alignment.to_own[:, :2])
        values = alignment.masks.look(*to_texels(own))
        return cls(lattice, own, values, alignment, _local_change(alignment.difference, alignment.weight))

    def mask(self, i: int) -> SoftMask:
        """One of the masks."""
        x1, y1, x2, y2 = self.lattice.windows[i].tolist()
        return SoftMask(self.values[i], (float(x1), float(y1), float(x2), float(y2)), (x1, y1, x2, y2))

    @property
    def extents(self) -> F32Array:
        """float32 (N, 4): x1, y1, x2, y2 of the masks in pixels; zero where nothing is left of one."""
        return self.lattice.extents(self.values)

    @property
    def explained(self) -> F32Array:
        """float32 (N,): part of each mask in the picture where the newest frame shows what the anchor did."""
        same = self.alignment.weight.reshape(self.change.shape) * (self.change <= SAME_GREY)
        part: F32Array = same.sum(axis=(1, 2)) / np.maximum(self.alignment.weight.sum(axis=1), 1)
        return part

    def visible(self) -> Outlines:
        """The masks without what other instances or anything else has come to hide."""
        values = self._without_covered()
        hidden = self.change > HIDDEN_GREY
        for i in np.flatnonzero(hidden.any(axis=(1, 2))).tolist():
            values[i] = self._without_hidden(i, values[i], hidden[i])
        return replace(self, values=values)

    def _without_covered(self) -> F32Array:
        """float32 (N, S, S): where two masks have come to lie over each other, the cells are left to the one that is seen there.

        What they shared in the anchor stays shared. Masks of which it was most are two findings of one object.
        """
        values, inside = self.values.copy(), self.values > THRESHOLD
        for i, j in self.lattice.meetings():
            if self.alignment.together(i, j):
                continue
            on_j = self._contested(inside, i, j)
            on_i = None if on_j is None else self._contested(inside, j, i)
            if on_j is None or on_i is None:
                continue
            if self._change_at(i, on_i) < self._change_at(j, on_j):
                self._yield(values[j], on_j, i)
            else:
                self._yield(values[i], on_i, j)
        return values

    def _contested(self, inside: BoolArray, i: int, j: int) -> _Overlap | None:
        """The cells of window ``j`` that both masks claim and that only ``j`` had in the anchor; None if they are few."""
        rows, columns = self.lattice.common(i, j, 1), self.lattice.common(i, j, 0)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        row, column = self.lattice.places(i, j, 1, rows), self.lattice.places(i, j, 0, columns)
        nearest_row, nearest_column = (np.minimum((place + 0.5).astype(np.intp), SIDE - 1) for place in (row, column))
        shared = np.asarray(inside[i][nearest_row[:, None], nearest_column] & inside[j][rows, columns])
        if np.count_nonzero(shared) < CONTESTED_CELLS:
            return None
        at = to_texels(self.own[:, j, rows, columns])
        shared &= self.alignment.masks.held(i, j, at[0], at[1]) < OUTSIDE
        return _Overlap(rows, columns, shared, row, column) if np.count_nonzero(shared) >= CONTESTED_CELLS else None

    def _change_at(self, i: int, overlap: _Overlap) -> float:
        """Mean change at some cells of instance ``i``."""
        side = self.change.shape[1]
        at = self.own[:, i, overlap.rows, overlap.columns][:, overlap.cells]
        column, row = np.clip((at + 1) * (side / 2), 0, side - 1).astype(np.intp)
        return float(self.change[i][row, column].mean())

    def _yield(self, values: F32Array, overlap: _Overlap, to: int) -> None:
        """Leave the cells to mask ``to``: ``values`` float32 (S, S) is changed."""
        cv2 = opencv()
        at = np.meshgrid(overlap.column, overlap.row)
        cover = cv2.remap(self.values[to], *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        part = values[overlap.rows, overlap.columns]
        np.minimum(part, 1 - cover, out=part, where=overlap.cells)

    def _without_hidden(self, i: int, values: F32Array, hidden: BoolArray) -> F32Array:
        """A mask float32 (S, S) without hidden points bool (R, R) of its patch, and without the fragments that remain.

        Single points are no evidence.
        """
        cv2 = opencv()
        gone = cv2.morphologyEx(hidden.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        if not gone.any():
            return values
        x, y = (self.own[:, i] + 1) * np.float32(len(gone) / 2) - np.float32(0.5)
        seen = cv2.remap(1 - gone.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return _without_fragments(np.minimum(values, seen))


def _local_change(difference: F32Array, weight: F32Array) -> F32Array:
    """float32 (N, R, R): mean absolute difference (N, P) around each point, over points by weight (N, P); 0 for points without."""
    cv2 = opencv()
    side = math.isqrt(weight.shape[1])
    # All patches under each other; what leaks from one to the next is noise at their rims.
    total = cv2.blur(np.abs(difference * weight).reshape(-1, side), (AROUND, AROUND))
    share = cv2.blur(weight.reshape(-1, side), (AROUND, AROUND))
    change: F32Array = (total / np.maximum(share, np.float32(1e-3))).reshape(-1, side, side) * weight.reshape(-1, side, side)
    return change


def _without_fragments(values: F32Array) -> F32Array:
    """A mask float32 (S, S) without the parts that are far smaller than its largest."""
    cv2 = opencv()
    kept = values.copy()
    count, parts, stats, _ = cv2.connectedComponentsWithStats((values > THRESHOLD).view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    for part in range(1, count):
        if areas[part - 1] < FRAGMENT * areas.max():
            kept[parts == part] = 0
    return kept
