"""Percentiles and their certainty."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from edgeseg.benchmark.spread import at_most, least_samples, quantiles_ms


def test_quantiles_are_milliseconds_of_all_values():
    """0, 1 .. 100 ms: each percentile is its own number."""
    found = quantiles_ms(np.arange(101) / 1e3)

    assert found == {"mean": 50, "p50": 50, "p90": 90, "p99": 99, "max": 100}


@pytest.mark.parametrize(("part", "least"), [(0.5, 7), (0.9, 44), (0.99, 459)])
def test_fewest_samples_are_those_of_the_binomial_distribution(part, least):
    """With one fewer, all may lie below the percentile with a chance of more than 1 %."""
    assert least_samples(part) == least
    assert part**least <= 0.01 < part ** (least - 1)
    assert at_most(np.ones(least - 1), part) is None
    assert at_most(np.arange(least), part) == least - 1


def test_bound_has_the_rank_that_exact_binomial_sums_give():
    """For every number of samples up to 300, by sums of whole numbers' binomial coefficients."""
    for n in range(44, 300):
        below = np.cumsum([comb(n, k) * 0.9**k * 0.1 ** (n - k) for k in range(n)])
        expected = int(np.argmax(below >= 0.99))
        assert at_most(np.arange(n)[::-1], 0.9) == expected


def test_bound_is_rarely_exceeded():
    """The true p90 of 1,000 random samples lies above the bound about once in a hundred times, not more than twice."""
    rng = np.random.default_rng(0)
    bounds = np.array([at_most(rng.exponential(1, 200), 0.9) for _ in range(1000)])

    assert 0 < np.mean(bounds < np.log(10)) < 0.02
