"""Exact optical flow between any two frames of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import BoolArray, F32Array, F64Array, I32Array, SizeHW


@dataclass(frozen=True, repr=False)
class SceneFlow:
    """Where the surface seen at each pixel of one frame is in another one."""

    displacement: F32Array
    """float32 (H, W, 2): from its place in the first frame to its place in the second, as x, y in pixels; 0 where it does not exist."""
    exists: BoolArray
    """bool (H, W): there is such a place, in the picture or outside. Not so for an object that has begun another crossing (another lap)."""
    visible: BoolArray
    """bool (H, W): the second frame shows the surface there, judged by its pixel next to the exact place."""

    def __post_init__(self) -> None:
        image_hw = self.displacement.shape[:2]
        if self.displacement.shape != (*image_hw, 2) or self.exists.shape != image_hw or self.visible.shape != image_hw:
            shapes = self.displacement.shape, self.exists.shape, self.visible.shape
            raise ValueError(f"a displacement (H, W, 2) and two masks (H, W) are needed, got {shapes}")

    @property
    def image_hw(self) -> SizeHW:
        """(height, width) in pixels."""
        return self.exists.shape[0], self.exists.shape[1]


def displacement(step: F64Array, rows: slice, columns: slice) -> F32Array:
    """float32 (h, w, 2): how far ``step`` float64 (2, 3) moves each pixel of a window."""
    x = np.arange(columns.start, columns.stop, dtype=np.float64)[None]
    y = np.arange(rows.start, rows.stop, dtype=np.float64)[:, None]
    moved = np.empty((rows.stop - rows.start, columns.stop - columns.start, 2), np.float32)
    moved[..., 0] = ((step[0, 0] - 1) * x + step[0, 2]) + step[0, 1] * y
    moved[..., 1] = step[1, 0] * x + ((step[1, 1] - 1) * y + step[1, 2])
    return moved


def lands_on_itself(flow: F32Array, ids: I32Array, ids_then: I32Array) -> BoolArray:
    """bool (H, W): the pixels that ``flow`` float32 (H, W, 2) brings to a pixel of the same id.

    Args:
        flow: displacement in pixels.
        ids: int32 (H, W), what is seen at each pixel of the first frame; 0 is the landscape.
        ids_then: the same of the second frame.
    """
    height, width = ids.shape
    x = np.rint(flow[..., 0] + np.arange(width, dtype=np.float32))
    y = np.rint(flow[..., 1] + np.arange(height, dtype=np.float32)[:, None])
    cv2 = opencv()
    found = cv2.remap(ids_then.astype(np.float32), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=-1)
    return np.asarray(found == ids)
