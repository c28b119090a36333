"""Contenders timed in turn, A B C A B C ..., so that a drifting machine slows them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Contender = Callable[[], Mapping[str, float]]
"""Does the work once; returns parts of its time by name, seconds (may be empty)."""


@dataclass(frozen=True)
class Timing:
    """All durations of one contender, seconds; nothing is thrown away."""

    warm_up_s: tuple[float, ...]
    values_s: tuple[float, ...]
    parts_s: Mapping[str, tuple[float, ...]]

    @property
    def median_s(self) -> float:
        return float(np.median(self.values_s))

    @property
    def p99_s(self) -> float:
        return float(np.percentile(self.values_s, 99))

    def to_json(self) -> dict[str, Any]:
        """Milliseconds, for reading and for the record."""
        return {
            "median_ms": _ms(self.median_s),
            "p99_ms": _ms(self.p99_s),
            "min_ms": _ms(min(self.values_s)),
            "parts_median_ms": {name: _ms(float(np.median(values))) for name, values in self.parts_s.items()},
            "values_ms": [_ms(value) for value in self.values_s],
            "warm_up_ms": [_ms(value) for value in self.warm_up_s],
        }


def measure(contenders: Mapping[str, Contender], rounds: int, warm_up: int) -> dict[str, Timing]:
    """Time every contender once per round."""
    totals: dict[str, list[float]] = {name: [] for name in contenders}
    parts: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for number in range(warm_up + rounds):
        for name, work in contenders.items():
            start_s = time.perf_counter()
            spans = work()
            totals[name].append(time.perf_counter() - start_s)
            if number >= warm_up:
                for part, seconds in spans.items():
                    parts[name].setdefault(part, []).append(seconds)
    return {
        name: Timing(tuple(values[:warm_up]), tuple(values[warm_up:]), {part: tuple(v) for part, v in parts[name].items()})
        for name, values in totals.items()
    }


def ratio(slow: Timing, fast: Timing) -> dict[str, float]:
    """How many times as long ``slow`` takes, round by round: median and the quartiles."""
    ratios = np.array(slow.values_s) / np.array(fast.values_s)
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return {"median": round(float(middle), 3), "lower_quartile": round(float(low), 3), "upper_quartile": round(float(high), 3)}


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
