"""What a panoptic head chose from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeseg.candidates import Candidates


def _candidates(**changes: Any) -> Candidates:
    columns = (np.zeros((3, 4), np.float32), np.zeros(3, np.float32), np.zeros(3, np.int64), np.zeros((3, 8), np.float32))
    return replace(Candidates(*columns, np.array([2, 0]), np.array([1])), **changes)


def test_candidates_say_how_many_they_are() -> None:
    """And how many the head kept."""
    assert (len(_candidates()), repr(_candidates())) == (3, "Candidates(n=3, kept=2, rows=1)")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((2, 4), np.float32)}, "3 scores need boxes"),
        ({"classes": np.zeros(2, np.int64)}, r"must have shape \(3,\)"),
        ({"embeddings": np.zeros((2, 8), np.float32)}, "3 scores need 3 embeddings"),
        ({"kept": np.array([3])}, "kept must be places among 3"),
        ({"rows": np.array([2])}, "rows must be places among 2"),
        ({"present": np.array([-1])}, "present must be places among 2"),
        ({"stand_in": np.zeros(7, np.float32)}, "stand-in must have the shape of an embedding"),
        ({"stand_in": np.zeros(8, np.float32), "embeddings": None}, "stand-in must have the shape of an embedding"),
    ],
)
def test_candidates_refuse_what_does_not_fit_together(changes: dict[str, Any], message: str) -> None:
    """Columns of other lengths, and places that do not exist."""
    with pytest.raises(ValueError, match=message):
        _candidates(**changes)
