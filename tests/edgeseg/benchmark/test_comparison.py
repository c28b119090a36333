"""Faster, slower, or not to be told."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.benchmark import comparison
from edgeseg.benchmark.comparison import FASTER, NOT_SIGNIFICANT, SLOWER, compare_paired, compare_unpaired
from edgeseg.errors import UsageError
from tests.edgeseg.benchmark.made_up import steady


def wandering(seed, n=200, step=0.005) -> np.ndarray:
    """Durations of a machine whose speed wanders: neighbours are alike, and whole runs differ."""
    rng = np.random.default_rng(seed)
    return 0.02 * np.exp(np.cumsum(rng.normal(0, step, n))) * rng.lognormal(0, 0.05, n)


@pytest.mark.parametrize("make", [lambda seed: steady(200, seed), wandering], ids=["steady", "wandering"])
def test_the_same_thing_twice_is_not_significant(monkeypatch, make):
    """Of 300 pairs of runs that differ by chance alone, at most two in a hundred seem different."""
    monkeypatch.setattr(comparison, "REPLICATES", 200)
    verdicts = [compare_unpaired(make(2 * k), make(2 * k + 1), k).verdict for k in range(300)]

    assert verdicts.count(NOT_SIGNIFICANT) >= 294


@pytest.mark.parametrize(("factor", "verdict"), [(0.9, FASTER), (1.1, SLOWER), (1.0, NOT_SIGNIFICANT), (1.01, NOT_SIGNIFICANT)])
def test_a_difference_of_a_tenth_is_seen_on_a_calm_machine(factor, verdict):
    """And one of a hundredth is not claimed: it is less than where memory lies may change."""
    found = compare_unpaired(steady(500, 1), factor * steady(500, 2))

    assert found.verdict == verdict
    assert found.ratio == pytest.approx(factor, rel=0.01)
    assert found.low < found.ratio < found.high


def test_frames_in_turns_show_a_difference_that_the_machine_hides():
    """3 % on a machine whose speed wanders: seen where frames are paired, not between two runs."""
    common = wandering(3, 500, step=0.02)
    first_s, second_s = common * steady(500, 4, 1), 1.03 * common * steady(500, 5, 1)

    assert compare_paired(first_s, second_s).verdict == SLOWER
    assert compare_paired(second_s, first_s).verdict == FASTER
    assert compare_unpaired(first_s, second_s).verdict == NOT_SIGNIFICANT


def test_pairs_of_the_same_are_not_significant(monkeypatch):
    """Of 300 paired runs of the same thing, at most three in a hundred seem different."""
    monkeypatch.setattr(comparison, "REPLICATES", 200)
    verdicts = [compare_paired(steady(500, 2 * k), steady(500, 2 * k + 1), k).verdict for k in range(300)]

    assert verdicts.count(NOT_SIGNIFICANT) >= 291


def test_a_seed_gives_the_same_bounds_again():
    """And another seed others."""
    runs = steady(100, 1), steady(100, 2)

    assert compare_unpaired(*runs, seed=7) == compare_unpaired(*runs, seed=7)
    assert compare_unpaired(*runs, seed=7) != compare_unpaired(*runs, seed=8)


@pytest.mark.parametrize("compare", [compare_paired, compare_unpaired])
def test_too_few_durations_are_refused(compare):
    """Nine are not enough for ten stretches."""
    with pytest.raises(UsageError, match="9 durations are too few"):
        compare(steady(9), steady(9))


def test_pairs_need_as_many_of_both():
    """Else they are not of the same frames."""
    with pytest.raises(UsageError, match="20 and 30 durations are not of the same frames"):
        compare_paired(steady(20), steady(30))
