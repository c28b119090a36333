"""How live sources are read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.errors import UsageError

FOREVER = sys.maxsize
"""Attempts of ``--reconnect forever``."""
WHEN_LATE = ("drop", "wait")


@dataclass(frozen=True)
class LiveSettings:
    """Settings of cameras and network streams. Files, folders and synthetic scenes never drop and never reconnect."""

    when_late: str = "drop"
    """What happens to pictures that come while an earlier one is processed. ``drop``: all but the newest are dropped, and frame numbers
    show the gap. ``wait``: they wait in the buffers of the device, so every one is processed, later and later."""
    reconnect: int | None = None
    """How many attempts in a row a lost connection is worth: 0 never, FOREVER. None leaves it to the source: FOREVER for cameras and
    network streams, 0 for GStreamer pipelines, whose end may be meant."""
    stall_s: float = 5.0
    """Seconds without a picture after which the connection counts as lost."""
    frozen_s: float = 10.0
    """Seconds of the very same picture after which it is reported as frozen."""
    may_be_away: bool = False
    """A device that is not there yet is waited for: opening the source does not connect, its frames do, and until that works it counts
    as lost. Without attempts (``reconnect``) this changes nothing."""
    note: Callable[[str], None] | None = None
    """Takes a line when the connection is lost, is back, or shows a frozen picture. None: the log of `edgeseg.sources.live`."""

    def __post_init__(self) -> None:
        if self.when_late not in WHEN_LATE:
            raise UsageError(f"when_late must be one of {', '.join(WHEN_LATE)}, got {self.when_late!r}")
        if self.reconnect is not None and self.reconnect < 0:
            raise UsageError(f"reconnect must be a number of attempts from 0, got {self.reconnect}")
        if not (self.stall_s > 0 and self.frozen_s > 0):
            raise UsageError("stall_s and frozen_s must be more than 0 seconds")
