"""What makes a measurement doubtful, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.benchmark.doubts import doubts
from edgeseg.benchmark.nvml import GpuReading
from edgeseg.types import Step
from tests.edgeseg.benchmark.made_up import CALM, samples, steady

FIRST, LAST = CALM


def kinds(measured, cores=2) -> list[str]:
    return [doubt.kind for doubt in doubts(measured, cores)]


def test_nothing_is_wrong_with_a_calm_run():
    """Of 500 runs of steady durations with a tail, at most a few are doubted."""
    doubted = sum(kinds(samples(steady(seed=seed))) != [] for seed in range(500))

    assert doubted < 3


@pytest.mark.parametrize("draw", ["normal", "uniform", "exponential"])
def test_one_heap_is_not_taken_for_two(draw):
    """Whatever its form: 300 runs of noise on a constant."""
    rng = np.random.default_rng(1)
    runs = (0.02 + 0.004 * getattr(rng, draw)(size=500).clip(-4, 8) for _ in range(300))

    assert sum("bimodal" in kinds(samples(run)) for run in runs) == 0


@pytest.mark.parametrize(("n", "names"), [(43, ["p90", "p99"]), (44, ["p99"]), (458, ["p99"]), (459, [])])
def test_too_few_samples_are_told_by_what_they_cannot_say(n, names):
    """Each percentile needs its number of results."""
    found = [doubt for doubt in doubts(samples(np.full(n, 0.02)), 2) if doubt.kind == "few"]

    assert [name for doubt in found for name in ("p90", "p99") if f"certain of {name}" in doubt.text] == names


def test_dropped_frames_are_no_results():
    """500 frames of which 100 were dropped are too few for p99."""
    measured = samples(steady(), [Step.DROP] * 100 + [Step.KEY] * 400)

    assert kinds(measured) == ["few"]


@pytest.mark.parametrize(("change", "words"), [(1.12, "% longer"), (0.88, "% less"), (1.02, None)])
def test_a_change_between_the_halves_is_a_drift(change, words):
    """From 5 % on, in the direction that it has."""
    values_s = np.where(np.arange(500) < 250, 1, change) * steady()
    found = [doubt.text for doubt in doubts(samples(values_s), 2)]

    assert [words in text for text in found] == ([True] if words else [])


def test_stretches_that_differ_wildly_are_unsteady():
    """Every other tenth takes 30 % longer: no drift, no two clear heaps within the noise."""
    slow = np.arange(500) // 50 % 2 == 0
    values_s = np.where(slow, 1.3, 1.0) * np.random.default_rng(0).normal(0.02, 0.003, 500)

    assert kinds(samples(values_s)) == ["unsteady"]


def test_two_heaps_are_seen_although_they_are_mixed_evenly():
    """A third of the frames takes half as long again."""
    values_s = np.where(np.arange(500) % 3 == 0, 1.5, 1.0) * steady()

    (doubt,) = doubts(samples(values_s), 2)

    assert doubt.kind == "bimodal"
    assert "67% took about 20.0" in doubt.text
    assert "others about 29.9" in doubt.text


def test_steps_are_judged_each_by_itself():
    """Key frames that take ten times as long as the others are no second heap."""
    steps = [Step.KEY if i % 5 == 0 else Step.PROPAGATE for i in range(500)]
    values_s = steady() * [10 if step is Step.KEY else 1 for step in steps]

    assert kinds(samples(values_s, steps)) == []


@pytest.mark.parametrize(
    ("first", "last", "kind", "words"),
    [
        ({"clock_mhz": 2000}, {"clock_mhz": 1500}, "throttled", "from 2000 to 1500 MHz"),
        ({"clock_mhz": 2000}, {"clock_mhz": 1950}, None, ""),
        ({"temperature_c": 40}, {"temperature_c": 55}, "throttled", "from 40 to 55 degrees"),
        ({"temperature_c": 88}, {"temperature_c": 88}, "throttled", "from 88 to 88 degrees"),
        ({"temperature_c": 50}, {"temperature_c": 55}, None, ""),
        ({"throttled": 3}, {"throttled": 5}, "throttled", "slowed down 2 times because of heat"),
        ({}, {"busy_s": 30.0}, "loaded", "took 50% of the processors' time (load average at the beginning 0.1 on 2 processors)"),
        ({}, {"busy_s": 21.0}, None, ""),
        ({"busy_s": None, "load_1_min": 1.5}, {}, "loaded", "load average at the beginning 1.5"),
        ({"busy_s": None, "load_1_min": 0.5}, {}, None, ""),
        ({}, {"steal_s": 1.0}, "stolen", "kept 5.0% of the processors' time"),
        ({}, {"steal_s": 0.1}, None, ""),
        ({"gpu": GpuReading(1980)}, {"gpu": GpuReading(1400)}, "throttled", "the GPU's clock fell from 1980 to 1400 MHz"),
        ({"gpu": GpuReading()}, {"gpu": GpuReading(slowed_by=("heat",))}, "throttled", "slowed down by heat at 1 of 2 looks"),
        ({"gpu": GpuReading(1980)}, {"gpu": GpuReading(1965)}, None, ""),
    ],
)
def test_sensors_are_heard(first, last, kind, words):
    """Ten seconds on two processors, of which this process used ten seconds."""
    found = doubts(samples(steady(), readings=(replace(FIRST, **first), replace(LAST, **last))), 2)

    assert [doubt.kind for doubt in found] == ([kind] if kind else [])
    assert all(words in doubt.text for doubt in found)
