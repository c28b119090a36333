"""Reasons not to believe a measurement, in plain words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.benchmark.measure import Samples
from edgeseg.benchmark.nvml import GpuReading
from edgeseg.benchmark.sensors import Reading
from edgeseg.benchmark.spread import least_samples
from edgeseg.types import F64Array, Step

PARTS = 10
"""Stretches of a run whose medians are compared."""
DRIFT, UNSTEADY = 0.05, 0.15
"""By how much the halves, and the stretches, may differ."""
SEPARATION = 4.5
"""How many standard deviations apart two heaps of durations lie; the halves of normal ones do 2.7, of evenly spread ones 3.5."""
HEAP, APART = 0.1, 0.1
"""A heap holds at least this part of the durations, and its mean is so far from the other's, relative to it."""
CLOCK_DROP, WARMER_C, HOT_C = 0.05, 10.0, 85.0
OTHERS, STOLEN = 0.1, 0.01
"""Part of the machine's processor time that other programs may take, and that the host of a virtual machine may keep."""
LOADED = 0.5
"""Programs to a processor, where their processor time is not told."""


@dataclass(frozen=True)
class Doubt:
    """One reason."""

    kind: str
    """``few``, ``drift``, ``unsteady``, ``bimodal``, ``throttled``, ``loaded`` or ``stolen``."""
    text: str


def doubts(samples: Samples, cores: int | None = None) -> list[Doubt]:
    """All reasons to doubt, by the durations of each step and by what the sensors said.

    Args:
        samples: what was measured.
        cores: processors of the machine; None: of this one.
    """
    found = list(_few(int(samples.answered.sum())))
    for step in Step:
        values_s = samples.latency_s[samples.of(step)]
        if step is not Step.DROP and len(values_s) >= 2 * PARTS:
            found += [*_changing(values_s, step), *_bimodal(values_s, step)]
    return [*found, *_throttled(samples.readings), *_busy(samples.readings, cores or os.cpu_count() or 1)]


def stretches(values_s: F64Array, parts: int = PARTS) -> F64Array:
    """Medians of ``parts`` consecutive stretches of durations float64 (N,), N >= parts."""
    return np.array([np.median(part) for part in np.array_split(values_s, parts)])


def _few(n: int) -> Iterator[Doubt]:
    for part, name in ((0.9, "p90"), (0.99, "p99")):
        if n < least_samples(part):
            needs = f"which takes {least_samples(part)}; give --frames"
            yield Doubt("few", f"too few samples: {n} results say nothing certain of {name}, {needs}")


def _changing(values_s: F64Array, step: Step) -> Iterator[Doubt]:
    """The halves differ although neither's stretches reach into the other's, or the stretches differ wildly."""
    medians = stretches(values_s)
    first, second = medians[: PARTS // 2], medians[PARTS // 2 :]
    change = float(np.median(second) / np.median(first)) - 1
    if abs(change) > DRIFT and (second.min() > first.max() or second.max() < first.min()):
        word = "longer" if change > 0 else "less"
        yield Doubt(
            "drift",
            f"unstable: {step.value} frames of the second half took {abs(change):.0%} {word} than those of the first. Warm up longer, let "
            "the machine rest, or look whether the pictures changed",
        )
    elif (spread := float(medians.max() / medians.min()) - 1) > UNSTEADY:
        yield Doubt("unsteady", f"unstable: from one tenth of the run to another, {step.value} frames took up to {spread:.0%} longer")


def _bimodal(values_s: F64Array, step: Step) -> Iterator[Doubt]:
    """Cut the sorted durations where the two sides are most alike within (Otsu), and see whether they are two heaps."""
    ordered = np.sort(values_s)
    n = len(ordered)
    cuts = np.arange(max(2, int(HEAP * n)), n - max(2, int(HEAP * n)) + 1)
    sums = np.cumsum(ordered)
    low, high = sums[cuts - 1] / cuts, (sums[-1] - sums[cuts - 1]) / (n - cuts)
    best = int(np.argmax(cuts * (n - cuts) * (high - low) ** 2))
    left, right = ordered[: cuts[best]], ordered[cuts[best] :]
    within = np.sqrt((left.var() + right.var()) / 2)
    gap = right.mean() - left.mean()
    if gap > APART * left.mean() and gap > SEPARATION * within:
        yield Doubt(
            "bimodal",
            f"two kinds of {step.value} frames: {len(left) / n:.0%} took about {left.mean() * 1e3:.2f} ms and the others about "
            f"{right.mean() * 1e3:.2f} ms; no single number describes them",
        )


def _throttled(readings: Sequence[Reading]) -> Iterator[Doubt]:
    gpus = [reading.gpu or GpuReading() for reading in readings]
    yield from _slower("the processors'", [reading.clock_mhz for reading in readings])
    yield from _slower("the GPU's", [gpu.clock_mhz for gpu in gpus])
    if reasons := sorted({reason for gpu in gpus for reason in gpu.slowed_by}):
        times = sum(bool(gpu.slowed_by) for gpu in gpus)
        yield Doubt("throttled", f"throttled: the GPU was slowed down by {', '.join(reasons)} at {times} of {len(gpus)} looks")
    first, last = readings[0], readings[-1]
    if first.throttled is not None and last.throttled is not None and last.throttled > first.throttled:
        yield Doubt("throttled", f"throttled: the processors slowed down {last.throttled - first.throttled} times because of heat")
    before_c, after_c = first.temperature_c, last.temperature_c
    if before_c is not None and after_c is not None and (after_c - before_c > WARMER_C or after_c > HOT_C):
        yield Doubt(
            "throttled",
            f"throttled, or soon: the temperature went from {before_c:.0f} to {after_c:.0f} degrees; a longer run may be slower",
        )


def _slower(whose: str, clock_mhz: Sequence[float | None]) -> Iterator[Doubt]:
    """The clock of the second half against that of the first."""
    halves = clock_mhz[: (len(clock_mhz) + 1) // 2], clock_mhz[len(clock_mhz) // 2 :]
    before_mhz, after_mhz = map(_mean, halves)
    if before_mhz and after_mhz and after_mhz < (1 - CLOCK_DROP) * before_mhz:
        yield Doubt("throttled", f"throttled: {whose} clock fell from {before_mhz:.0f} to {after_mhz:.0f} MHz")


def _busy(readings: Sequence[Reading], cores: int) -> Iterator[Doubt]:
    first, last = readings[0], readings[-1]
    all_s = (last.at_s - first.at_s) * cores
    load = "" if first.load_1_min is None else f" (load average at the beginning {first.load_1_min:.1f} on {cores} processors)"
    if all_s > 0 and first.busy_s is not None and last.busy_s is not None:
        others = (last.busy_s - first.busy_s - (last.own_s - first.own_s)) / all_s
        if others > OTHERS:
            yield Doubt("loaded", f"loaded machine: other programs took {others:.0%} of the processors' time{load}")
    elif first.load_1_min is not None and first.load_1_min > LOADED * cores:
        yield Doubt("loaded", f"loaded machine: other programs were running{load}")
    if all_s > 0 and first.steal_s is not None and last.steal_s is not None:
        stolen = (last.steal_s - first.steal_s) / all_s
        if stolen > STOLEN:
            yield Doubt("stolen", f"loaded host: it kept {stolen:.1%} of the processors' time from this virtual machine (steal)")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
