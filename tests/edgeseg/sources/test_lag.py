"""When a stream counts as read too slowly."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.sources.lag import LIMIT_S, PATIENCE_S, LagWatch


def first_alarm(times_s, dates_s):
    """Number of the first picture at which the watch says so; None if none."""
    watch = LagWatch()
    return next((i for i, (now_s, dated_s) in enumerate(zip(times_s, dates_s, strict=True)) if watch.see(now_s, dated_s)), None)


def test_a_reader_that_is_a_little_too_slow_is_noticed():
    """At 29 of 30 frames a second the limit is passed after half a minute, and the alarm comes when it has lasted."""
    dates_s = np.arange(3000) / 30
    alarm = first_alarm(dates_s * 30 / 29, dates_s)

    assert dates_s[alarm] == pytest.approx(29 * LIMIT_S + PATIENCE_S, rel=0.1)


def test_a_reader_that_keeps_up_never_alarms():
    """A thousand random streams with jitter, clocks that differ by 0.05 %, and pauses that are caught up with."""
    rng = np.random.default_rng(5)
    for _ in range(1000):
        dates_s = np.arange(60) / 2 + rng.uniform(0, 1e6)
        times_s = dates_s * rng.uniform(0.9995, 1.0005) + rng.uniform(0, 0.9, size=60)
        times_s[20:24] += 2.0

        assert first_alarm(times_s, dates_s) is None


@pytest.mark.parametrize("dates_s", [np.zeros(99), np.full(99, 7.0), -np.arange(99.0), np.full(99, np.nan)])
def test_a_stream_without_usable_dates_never_alarms(dates_s):
    """Where OpenCV reports no time there is nothing to compare."""
    assert first_alarm(np.arange(99.0), dates_s) is None


def test_a_clock_that_is_set_anew_is_no_lag():
    """A camera whose clock jumps, back or ahead, is compared anew from there."""
    dates_s = np.arange(200) / 10
    dates_s[50:] -= 1000.0
    dates_s[100:] += 5000.0

    assert first_alarm(np.arange(200) / 10, dates_s) is None


def test_clocks_that_differ_for_hours_are_no_lag():
    """A camera's clock that is slow by 0.05 % is five seconds behind after three hours, and the pictures are as new as ever."""
    times_s = np.arange(3 * 3600.0)

    assert first_alarm(times_s, times_s * 0.9995) is None
