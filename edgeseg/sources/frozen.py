"""Notices a picture that does not change: a camera that hangs goes on sending its last one."""

from __future__ import annotations

import numpy as np

from edgeseg.types import U8Array

_EVERY = 8
"""Every 8th pixel of every 8th row is compared: the noise of a live sensor changes some of them each time."""
_ALIKE = 3
"""Levels of 255 by which no pixel of a frozen picture differs: coded again and again, it moved by up to 2 (x264)."""


class FrozenWatch:
    """Looks at one picture after the other.

    Args:
        limit_s: seconds of the very same picture that make it frozen.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._first: U8Array | None = None
        self._since_s = 0.0
        self._told = False

    def see(self, pixels: U8Array, now_s: float) -> bool:
        """Whether the picture uint8 (H, W, 3) has just now, at ``now_s``, been the same for the limit: True once, until it changes."""
        sample = pixels[::_EVERY, ::_EVERY]
        if not self._is_like_first(sample):
            self._first, self._since_s, self._told = sample.copy(), now_s, False
            return False
        if self._told or now_s - self._since_s < self._limit_s:
            return False
        self._told = True
        return True

    def _is_like_first(self, sample: U8Array) -> bool:
        if self._first is None or self._first.shape != sample.shape:
            return False
        return bool(np.abs(sample - self._first.astype(np.int16)).max() <= _ALIKE)
