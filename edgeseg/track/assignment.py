"""The pairs of least total cost, solved by SciPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from edgeseg.errors import MissingDependencyError
from edgeseg.types import F32Array

Solver: TypeAlias = Callable[[Any], tuple[Any, Any]]


def load_solver() -> Solver:
    """SciPy's solver of the linear assignment problem.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    try:
        solver: Solver = importlib.import_module("scipy.optimize").linear_sum_assignment
    except ImportError as error:
        raise MissingDependencyError.for_extra("scipy", "cpu", error) from error
    return solver


def assign(costs: F32Array, solver: Solver) -> list[tuple[int, int]]:
    """As many (row, column) pairs as are allowed, each row and column once, of the least total cost.

    Args:
        costs: float32 (R, C); infinity forbids a pair.
        solver: what `load_solver` gave.
    """
    allowed = np.isfinite(costs)
    if not allowed.any():
        return []
    # Dearer than all allowed pairs together, so that a forbidden one is taken only where nothing is left.
    forbidden = 1.0 + 2.0 * float(np.abs(costs[allowed]).sum())
    rows, columns = solver(np.where(allowed, costs, forbidden))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]]
