"""From frames to motions: each frame is reduced to a small grey picture and compared with the one before."""

from __future__ import annotations

from edgeseg.motion.base import Flow, Motion
from edgeseg.motion.dis import DisFlow
from edgeseg.opencv import opencv
from edgeseg.types import Frame, SizeHW, U8Array

LONGER_SIDE = 160
"""Cells along the longer side of the grid. Smaller pictures keep their size."""
SHORTEST_SIDE = 16
"""Cells that even the narrowest picture gets along its shorter side: flow needs some room."""


class MotionEstimator:
    """The motion of one stream. It keeps the last small grey picture and nothing else."""

    def __init__(self, flow: Flow | None = None) -> None:
        self._flow = flow or DisFlow()
        self._last: tuple[SizeHW, U8Array] | None = None

    def update(self, frame: Frame) -> Motion | None:
        """How the picture moved since the last frame; None for the first frame and after a change of size."""
        newer = small_grey(frame.pixels)
        last, self._last = self._last, (frame.image_hw, newer)
        if last is None or last[0] != frame.image_hw:
            return None
        return Motion(self._flow(newer, last[1]), newer, last[1], frame.image_hw, self._flow)

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None


def small_grey(pixels: U8Array) -> U8Array:
    """A BGR picture uint8 (H, W, 3) as the grey picture uint8 (h, w) on whose grid motion is measured."""
    cv2 = opencv()
    rows, columns = grid_hw(pixels.shape[0], pixels.shape[1])
    small: U8Array = cv2.cvtColor(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return small


def grid_hw(height: int, width: int) -> SizeHW:
    """Rows and columns of the grid for pictures of a size."""
    scale = min(1.0, LONGER_SIDE / max(height, width))
    return max(round(height * scale), SHORTEST_SIDE), max(round(width * scale), SHORTEST_SIDE)
