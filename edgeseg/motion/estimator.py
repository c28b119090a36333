"""From frames to motions: each frame is reduced to small grey pictures and compared with the one before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeseg.motion.base import Flow, Motion
from edgeseg.motion.dis import DisFlow
from edgeseg.motion.picture import Picture
from edgeseg.types import Frame


class MotionEstimator:
    """The motion of one stream. It keeps the last frame's small pictures and nothing else."""

    def __init__(self, flow: Flow | None = None) -> None:
        self._flow = flow or DisFlow()
        self._last: Picture | None = None

    def update(self, frame: Frame) -> Motion | None:
        """How the picture moved since the last frame; None for the first frame and after a change of size."""
        newer = Picture.of(frame.pixels)
        older, self._last = self._last, newer
        if older is None or older.image_hw != newer.image_hw:
            return None
        motion = Motion(self._flow(newer.grid, older.grid), newer, older, self._flow)
        # A flow between scenes means nothing; after a black frame all is best looked for where it was.
        return replace(motion, backward=np.zeros_like(motion.backward)) if motion.cut else motion

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None
