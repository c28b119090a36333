"""Notices a stream that is read more slowly than it is sent: what comes is then older and older, and nothing else shows it."""

from __future__ import annotations

import math

LIMIT_S = 1.0
"""How much later pictures may come than the promptest did."""
PATIENCE_S = 3.0
"""For how long: what a network held back for a moment is soon caught up with."""
_DRIFT = 1e-3
"""Seconds a second by which two clocks may differ."""


class LagWatch:
    """Compares the clock of the stream, on which pictures are dated, with the one here."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._least_s = 0.0
        self._late_since_s = math.inf

    def see(self, now_s: float, dated_s: float) -> bool:
        """Whether the picture dated ``dated_s`` that came at ``now_s`` shows that reading has fallen behind for good.

        A stream without usable dates never does.
        """
        last, self._last = self._last, (now_s, dated_s)
        lag_s = now_s - dated_s
        if last is None or not dated_s > last[1]:
            self._least_s, self._late_since_s = lag_s, math.inf
            return False
        self._least_s = min(self._least_s + _DRIFT * (now_s - last[0]), lag_s)
        if lag_s - self._least_s <= LIMIT_S:
            self._late_since_s = math.inf
            return False
        self._late_since_s = min(self._late_since_s, now_s)
        return now_s - self._late_since_s >= PATIENCE_S
