"""Whether one measurement is faster than another, or whether that cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.benchmark.doubts import PARTS, stretches
from edgeseg.errors import UsageError
from edgeseg.types import F64Array

REPLICATES = 2000
LEVEL = 0.99
"""Several durations of two runs are compared at a time, and none may seem different by chance."""
MARGIN = 0.02
"""Runs of the same thing in two processes differ by about this much, by where their memory lies; nothing within one run shows it."""
AT_ONCE = 1_000_000
"""Values that are drawn at a time."""
FASTER, SLOWER, NOT_SIGNIFICANT = "faster", "slower", "not significant"


@dataclass(frozen=True)
class Comparison:
    """The second measurement against the first."""

    ratio: float
    """Of the medians, second over first; paired: the median of the frames' ratios."""
    low: float
    high: float
    """Bounds of the ratio with a confidence of `LEVEL`."""
    margin: float
    """How near to 1 the bounds may come before nothing can be told."""

    @property
    def verdict(self) -> str:
        """What the second measurement is."""
        if self.high < 1 - self.margin:
            return FASTER
        return SLOWER if self.low > 1 + self.margin else NOT_SIGNIFICANT


def compare_unpaired(first_s: F64Array, second_s: F64Array, seed: int = 0) -> Comparison:
    """Compare durations of two runs at different times, float64 (N,) and (M,) in their order, both at least `PARTS`.

    A bootstrap of whole stretches of each run, because neighbouring frames are alike. It knows one run of each only, so it takes
    what a run as a whole is off for as much as its own stretches are: a run that varied can prove little.

    Raises:
        UsageError: there are too few.
    """
    medians = _bootstrap_runs((first_s, second_s), np.random.default_rng(seed))
    return _comparison(float(np.median(second_s) / np.median(first_s)), medians[1] / medians[0], MARGIN)


def compare_paired(first_s: F64Array, second_s: F64Array, seed: int = 0) -> Comparison:
    """Compare durations of the same frames, measured in turns, float64 (N,) both, N at least `PARTS`: a bootstrap of their ratios.

    Of the same thing measured twice, about one in a hundred seems different where there are 500, and four where there are 50.

    Raises:
        UsageError: there are too few, or not as many of both.
    """
    if len(first_s) != len(second_s):
        raise UsageError(f"{len(first_s)} and {len(second_s)} durations are not of the same frames; compare them unpaired")
    _require_enough(len(first_s))
    ratios, rng = second_s / first_s, np.random.default_rng(seed)
    return _comparison(float(np.median(ratios)), _bootstrap_medians(ratios, round(len(ratios) ** (1 / 3)), rng), 0.0)


def _bootstrap_runs(runs_s: tuple[F64Array, F64Array], rng: np.random.Generator) -> list[F64Array]:
    """Medians float64 (`REPLICATES`,) that each run could have had."""
    for values_s in runs_s:
        _require_enough(len(values_s))
    found = []
    for values_s in runs_s:
        # Twice: the mean of a wandering speed is off its beginning by twice the variance that it has about its mean.
        deviations = stretches(values_s) / np.median(values_s)
        found.append(_bootstrap_medians(values_s, len(values_s) // PARTS, rng) * rng.choice(deviations, (2, REPLICATES)).prod(axis=0))
    return found


def _bootstrap_medians(values: F64Array, length: int, rng: np.random.Generator) -> F64Array:
    """Medians of as many values, drawn in blocks of ``length`` neighbours that may reach round the end: float64 (`REPLICATES`,)."""
    n = len(values)
    starts = rng.integers(0, n, (REPLICATES, -(-n // length)))
    # Some at a time: all at once would take gigabytes for an hour of video.
    parts = np.array_split(starts, -(-REPLICATES * n // AT_ONCE))
    offsets = np.arange(length)
    return np.concatenate([np.median(values[(part[:, :, None] + offsets).reshape(len(part), -1)[:, :n] % n], axis=1) for part in parts])


def _comparison(ratio: float, replicates: F64Array, margin: float) -> Comparison:
    low, high = np.percentile(replicates, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Comparison(ratio, float(low), float(high), margin)


def _require_enough(n: int) -> None:
    if n < PARTS:
        raise UsageError(f"{n} durations are too few to compare; measure at least {PARTS} frames")
