"""Dense inverse search (Kroeger et al., ECCV 2016) as OpenCV has it."""

from __future__ import annotations

from edgeseg.opencv import opencv
from edgeseg.types import F32Array, U8Array

_FINEST_SCALE = 1
"""Halvings of the picture at which the search ends. OpenCV's presets stop at 2, which is too coarse for pictures this small."""


class DisFlow:
    """OpenCV's DIS flow. Not for two threads at once."""

    name = "dis"

    def __init__(self) -> None:
        cv2 = opencv()
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(_FINEST_SCALE)

    def __call__(self, source: U8Array, target: U8Array, guess: F32Array | None = None) -> F32Array:
        """See `Flow`. Pictures are at least 12 pixels wide or high."""
        # OpenCV writes the result over the guess.
        found: F32Array = self._search.calc(source, target, None if guess is None else guess.copy())
        return found
