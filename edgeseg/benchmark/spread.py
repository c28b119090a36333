"""What many durations have in common: percentiles, and how sure they are."""

from __future__ import annotations

import math

import numpy as np

from edgeseg.types import F64Array

CONFIDENCE = 0.99
"""That of MLPerf's early stopping."""


def quantiles_ms(values_s: F64Array) -> dict[str, float]:
    """Mean, p50, p90, p99 and max of durations float64 (N,), N > 0; seconds in, milliseconds out."""
    p50, p90, p99 = np.percentile(values_s, [50, 90, 99]) * 1e3
    found = {"mean": values_s.mean() * 1e3, "p50": p50, "p90": p90, "p99": p99, "max": values_s.max() * 1e3}
    return {name: round(float(value), 4) for name, value in found.items()}


def at_most(values_s: F64Array, part: float, confidence: float = CONFIDENCE) -> float | None:
    """What the percentile of ``part`` (0..1) exceeds with a chance of 1 - confidence only: MLPerf's early-stopping estimate.

    It is the smallest of the sorted values whose rank is that far up, by the binomial distribution, whatever the distribution of the
    values. None where there are too few of them for any.
    """
    rank = _rank(len(values_s), part, confidence)
    return None if rank is None else float(np.sort(values_s)[rank])


def least_samples(part: float, confidence: float = CONFIDENCE) -> int:
    """How many values `at_most` needs at least."""
    return math.ceil(math.log(1 - confidence) / math.log(part))


def _rank(n: int, part: float, confidence: float) -> int | None:
    """The smallest k with P(at most k of n values lie below the percentile) >= confidence and k < n."""
    if n < least_samples(part, confidence):
        return None
    k = np.arange(n)
    # log n! - log k! - log (n - k)!
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_choose = factorials[n] - factorials[k] - factorials[n - k]
    below = np.cumsum(np.exp(log_choose + k * math.log(part) + (n - k) * math.log(1 - part)))
    reached = np.flatnonzero(below >= confidence)
    return int(reached[0]) if len(reached) else None
