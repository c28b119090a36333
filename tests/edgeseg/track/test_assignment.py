"""Assignment against trying every permutation."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest

from edgeseg.errors import MissingDependencyError
from edgeseg.track.assignment import assign, load_solver


def best_by_trying(costs):
    """The most allowed pairs, and of those the least cost, by trying every way to give each row a column or none."""
    rows, columns = costs.shape
    best = (0, 0.0)
    for chosen in itertools.product(range(-1, columns), repeat=rows):
        pairs = [(r, c) for r, c in enumerate(chosen) if c >= 0]
        taken = [c for _, c in pairs]
        if len(set(taken)) == len(taken) and all(np.isfinite(costs[pair]) for pair in pairs):
            best = min(best, (-len(pairs), float(sum(costs[pair] for pair in pairs))))
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2), (2, 4), (4, 4)])
def test_assignment_is_the_best_of_all(shape, seed):
    """As many pairs as are allowed, each row and column once, at the least total cost."""
    rng = np.random.default_rng(seed)
    costs = rng.uniform(0, 2, shape).astype(np.float32)
    costs[rng.random(shape) < 0.4] = np.inf

    pairs = assign(costs, load_solver())

    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(np.isfinite(costs[pair]) for pair in pairs)
    count, cost = best_by_trying(costs)
    assert -len(pairs) == count
    assert sum(float(costs[pair]) for pair in pairs) == pytest.approx(cost)


@pytest.mark.parametrize("costs", [np.zeros((0, 3), np.float32), np.zeros((2, 0), np.float32), np.full((2, 2), np.inf, np.float32)])
def test_nothing_is_assigned_where_nothing_is_allowed(costs):
    """Empty and forbidden tables give no pairs."""
    assert assign(costs, load_solver()) == []


def test_missing_scipy_names_the_extra(monkeypatch):
    """Without SciPy the error says what to install."""

    def refuse(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", refuse)

    with pytest.raises(MissingDependencyError, match=r"edgeseg\[cpu\]"):
        load_solver()
