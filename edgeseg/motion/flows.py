"""Arithmetic on flows: float32 (h, w, 2), displacements x and y in cells of a grid whose first cell's middle is (0, 0)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import AnyArray, BoolArray, F32Array, SizeHW, U8Array

RETURN_CELLS = 1.0
"""How far, in cells, the way there and back may miss its start."""
SAME_GREY = 10
"""How much, in grey levels, a cell may differ from what it was: sensor noise stays far below on a reduced grid."""


@lru_cache(maxsize=4)
def cells(grid_hw: SizeHW) -> F32Array:
    """float32 (h, w, 2), read-only: x and y of each cell."""
    rows, columns = grid_hw
    grid = np.stack(np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)), axis=2)
    grid.setflags(write=False)
    return grid


def places(flow: F32Array) -> F32Array:
    """float32 (h, w, 2): where a flow leads each cell, x and y in cells."""
    at: F32Array = opencv().add(flow, cells((flow.shape[0], flow.shape[1])))
    return at


def look_up(values: AnyArray, at: F32Array) -> AnyArray:
    """Bilinear values of (h, w) or (h, w, 2) at places float32 (h', w', 2) in cells; beyond the border its values go on."""
    cv2 = opencv()
    found: AnyArray = cv2.remap(values, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found


def composed(first: F32Array, second: F32Array) -> F32Array:
    """The flow that follows ``first`` and then, from where that leads, ``second``."""
    whole: F32Array = opencv().add(first, look_up(second, places(first)))
    return whole


def _inside(at: F32Array) -> U8Array:
    """uint8 (h, w), 255 where places float32 (h, w, 2) lie on the grid of h x w cells, the outermost cells' far halves included."""
    rows, columns = at.shape[:2]
    found: U8Array = opencv().inRange(at, (-0.5, -0.5), (columns - 0.5, rows - 0.5))
    return found


def returns(there: F32Array, back: F32Array) -> BoolArray:
    """bool (h, w): the cells that ``there`` and then ``back`` lead to where they started, on a way that stays on the grid."""
    at = places(there)
    miss = opencv().add(there, look_up(back, at))
    squared = miss[..., 0] ** 2 + miss[..., 1] ** 2
    return np.asarray((squared <= RETURN_CELLS**2) & (_inside(at) > 0))


def explained(newer: U8Array, older: U8Array, backward: F32Array) -> float:
    """Part of ``newer`` that ``older`` shows, about as bright, where the flow leads: 0..1 of the cells."""
    cv2 = opencv()
    at = places(backward)
    difference = cv2.absdiff(newer, look_up(older, at))
    same = cv2.inRange(difference, 0, SAME_GREY)
    return float(cv2.countNonZero(cv2.bitwise_and(same, _inside(at))) / same.size)


def mean_length(flow: F32Array) -> float:
    """Mean length of the displacements, in cells."""
    return float(np.abs(np.ascontiguousarray(flow).view(np.complex64)).mean())
