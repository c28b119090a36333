"""Counts and histograms, read back by Prometheus' own parser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeseg.sinks.web.metrics import BUCKETS_S, Histogram, Metrics, metric, text_of
from edgeseg.types import Step


def samples(text) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and labels -> value, as Prometheus reads them."""
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_a_run_is_counted(make_frame, make_result):
    """Frames, gaps in their numbers, reconnects, steps, instances, ages and stages of four frames."""
    metrics = Metrics()
    for index, step, infer_s in ((3, Step.KEY, 0.2), (4, Step.WARP, 0.03), (7, Step.WARP, 0.04), (8, Step.DROP, None)):
        spans = {} if infer_s is None else {"infer": infer_s}
        frame = replace(make_frame(index), reconnects=index // 7)
        metrics.add(frame, replace(make_result(index=index), step=step, spans=spans, age_s=0.015), now_s=index / 10)

    found = samples(text_of(metrics.families({})))

    assert found["edgeseg_frames_total", ()] == 4
    assert found["edgeseg_frames_dropped_total", ()] == 2
    assert found["edgeseg_reconnects_total", ()] == 1
    assert [found["edgeseg_steps_total", (("step", step),)] for step in ("key", "warp", "propagate", "drop")] == [1, 2, 0, 1]
    assert found["edgeseg_instances", ()] == 1
    assert found["edgeseg_age_seconds_bucket", (("le", "0.01"),)] == 0
    assert found["edgeseg_age_seconds_bucket", (("le", "0.02"),)] == 4
    assert found["edgeseg_age_seconds_sum", ()] == pytest.approx(0.06)
    assert found["edgeseg_stage_seconds_count", (("stage", "infer"),)] == 3
    assert found["edgeseg_stage_seconds_bucket", (("le", "0.05"), ("stage", "infer"))] == 2
    assert (metrics.rate, metrics.silent_s(1.0)) == (pytest.approx(6.0), pytest.approx(0.2))


def test_nothing_is_known_before_the_first_frame(make_frame, make_result):
    """No rate and no silence; one frame alone has no rate either, and frames at one instant have none."""
    metrics = Metrics()
    assert (metrics.rate, metrics.silent_s(5.0)) == (None, None)
    assert samples(text_of(metrics.families({})))["edgeseg_frames_total", ()] == 0

    metrics.add(make_frame(), make_result(), now_s=1.0)
    metrics.add(make_frame(), make_result(), now_s=1.0)

    assert (metrics.rate, metrics.silent_s(5.0), metrics.drops) == (None, 4.0, 0)


def test_histogram_counts_as_numpy_does():
    """A thousand durations, some exactly on a bound: each cumulated bucket holds what is not above its bound."""
    durations = np.random.default_rng(0).exponential(0.1, 1000)
    durations[:50] = np.resize(BUCKETS_S, 50)
    histogram = Histogram()
    for seconds in durations:
        histogram.add(float(seconds))

    found = samples("\n".join([*histogram.lines("x", {}), ""]))

    for bound in BUCKETS_S:
        assert found["x_bucket", (("le", str(bound)),)] == np.count_nonzero(durations <= bound)
    assert found["x_bucket", (("le", "+Inf"),)] == found["x_count", ()] == 1000
    assert found["x_sum", ()] == pytest.approx(durations.sum())


def test_labels_are_escaped():
    """Quotes, backslashes and line ends of a sensor's name come back as they were."""
    name = 'a "b" \\ c\nd'

    assert samples(text_of([metric("heat", "gauge", "Says.", [({"zone": name}, 1.5)])])) == {("edgeseg_heat", (("zone", name),)): 1.5}


def test_metric_without_samples_is_absent():
    """A machine without sensors says nothing of them."""
    assert text_of([metric("heat", "gauge", "Says.", [])]) == ""


def test_streams_share_a_metric_and_differ_in_their_label(make_frame, make_result):
    """All samples of a metric stand under one head, as the format asks for."""
    streams = [Metrics(), Metrics()]
    for number, metrics in enumerate(streams):
        for index in range(number + 1):
            metrics.add(make_frame(index), replace(make_result(index=index), spans={"infer": 0.1}), now_s=float(index))

    text = text_of([family for number, metrics in enumerate(streams) for family in metrics.families({"stream": str(number)})])

    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert [text.count(f"{kind} edgeseg_frames_total ") for kind in ("# HELP", "# TYPE")] == [1, 1]
    found = samples(text)
    assert [found["edgeseg_frames_total", (("stream", number),)] for number in ("0", "1")] == [1, 2]
    assert found["edgeseg_stage_seconds_count", (("stage", "infer"), ("stream", "1"))] == 2
