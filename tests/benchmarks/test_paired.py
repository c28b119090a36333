"""The paired timer: order, warm-up and ratios, without looking at a clock."""

from __future__ import annotations

import pytest

from benchmarks.paired import Timing, measure, ratio


def test_contenders_take_turns_and_warm_ups_are_kept_apart():
    """A B A B ..., every round; the first rounds are recorded but not counted."""
    order = []

    def contender(name):
        return lambda: order.append(name) or {"infer": 0.5}

    timings = measure({"a": contender("a"), "b": contender("b")}, rounds=3, warm_up=2)

    assert order == ["a", "b"] * 5
    assert (len(timings["a"].warm_up_s), len(timings["a"].values_s)) == (2, 3)
    assert timings["b"].parts_s == {"infer": (0.5, 0.5, 0.5)}


def test_ratio_is_taken_round_by_round():
    """A machine that slows down for both does not change the ratio."""
    slow = Timing((), (2.0, 20.0, 4.0), {})
    fast = Timing((), (1.0, 10.0, 2.0), {})

    assert ratio(slow, fast) == {"median": 2.0, "lower_quartile": 2.0, "upper_quartile": 2.0}


def test_record_keeps_every_value():
    """Statistics and all raw values, in milliseconds."""
    record = Timing((9.0,), (0.001, 0.002, 0.003), {"infer": (0.001,)}).to_json()

    assert record["median_ms"] == 2.0
    assert record["p99_ms"] == pytest.approx(2.98)
    assert (record["values_ms"], record["warm_up_ms"]) == ([1.0, 2.0, 3.0], [9000.0])
