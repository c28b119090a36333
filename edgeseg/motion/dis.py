"""Dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016) as OpenCV has it."""

from __future__ import annotations

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.types import F32Array, U8Array

FINEST_SCALE = 1
"""Halvings of the pictures at which the search ends. The preset stops after two, which is for larger pictures."""


class DisFlow:
    """OpenCV's DIS flow, nearly with its ultrafast preset. Not for two threads at once."""

    name = "dis"

    def __init__(self) -> None:
        cv2 = opencv()
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(FINEST_SCALE)

    def __call__(self, source: U8Array, target: U8Array) -> F32Array:
        """See `Flow`. Pictures are at least 12 pixels wide or high."""
        found: F32Array = self._search.calc(np.ascontiguousarray(source), np.ascontiguousarray(target), None)
        return found
