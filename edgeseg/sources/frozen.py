"""Notices a picture that does not change: a camera that hangs goes on sending its last one."""

from __future__ import annotations

import numpy as np

from edgeseg.types import U8Array

_EVERY = 8
"""Every 8th pixel of every 8th row is compared: the noise of a live sensor changes some of them each time."""


class FrozenWatch:
    """Looks at one picture after the other.

    Args:
        limit_s: seconds of the very same picture that make it frozen.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._last: U8Array | None = None
        self._since_s = 0.0
        self._told = False

    def see(self, pixels: U8Array, now_s: float) -> bool:
        """Whether the picture uint8 (H, W, 3) has just now, at ``now_s``, been the same for the limit: True once, until it changes."""
        sample = pixels[::_EVERY, ::_EVERY]
        if self._last is None or not np.array_equal(sample, self._last):
            self._last, self._since_s, self._told = sample.copy(), now_s, False
            return False
        if self._told or now_s - self._since_s < self._limit_s:
            return False
        self._told = True
        return True
