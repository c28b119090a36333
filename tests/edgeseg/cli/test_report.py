"""Tables and summaries as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeseg.cli.report import ledger_table, peak_memory_mib, summary_text, table
from edgeseg.ledger import Ledger
from edgeseg.sources import SourceCounts
from edgeseg.stream import StageTimes, Summary
from tests.edgeseg.test_ledger import ENTRY


def test_columns_are_aligned():
    """Every column is as wide as its widest cell; numbers stand to the right; lines end without blanks."""
    assert table([("stage", "ms"), ("a", "10.00"), ("b", "")], right=(1,)) == "stage     ms\na      10.00\nb"


def test_summary_has_milliseconds_per_stage():
    """Seconds inside become milliseconds in print: median and 99th percentile of each stage."""
    stage = StageTimes()
    for seconds in (0.001, 0.002, 0.003):
        stage.add(seconds)
    text = summary_text(Summary(frames=4, detections=1, wall_s=2.0, warm_up_s=0.5, stages={"infer": stage}))

    first, head, row, *_ = text.splitlines()
    assert first == "4 frames in 2.00 s, 2.0 frames/s after the first; 1 instance"
    assert head.split() == ["stage", "median", "ms", "p99", "ms"]
    assert row.split() == ["infer", "2.00", "2.98"]


def test_summary_tells_what_happened_to_a_live_stream():
    """Drops, reconnects and frozen pictures have a line; a source to which nothing happened has none."""
    happened = Summary(frames=4, wall_s=2.0, source=SourceCounts(dropped=1, reconnects=2, freezes=1))

    line = "1 frame dropped for newer ones; connected anew 2 times; picture frozen 1 time"
    assert line in summary_text(happened).splitlines()
    assert "0 frames dropped for newer ones; connected anew 1 time" in summary_text(replace(happened, source=SourceCounts(reconnects=1)))
    assert "dropped" not in summary_text(replace(happened, source=SourceCounts()))


def test_summary_of_one_frame_states_no_speed():
    """One frame is all warm-up: no rate and no stages are made up."""
    first, *rest = summary_text(Summary(frames=1, detections=0, wall_s=0.5, warm_up_s=0.5)).splitlines()

    assert first == "1 frame in 0.50 s; 0 instances"
    assert not any("stage" in line for line in rest)


def test_peak_memory_is_in_mebibytes():
    """This process holds more than ten and less than a hundred thousand MiB, or the system does not say."""
    memory = peak_memory_mib()

    assert memory is None or 10 < memory < 100_000
    assert memory == pytest.approx(peak_memory_mib(), rel=0.5)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "within budget"),
        ({"lost": 20}, "20 of 100 instances lost and 2 extra, 15 are allowed"),
        ({"lost": 20, "accepted": True}, "20 of 100 instances lost and 2 extra, 15 are allowed (accepted)"),
        ({"accepted": True}, "within budget"),
    ],
)
def test_a_row_of_the_ledger_ends_with_its_verdict(changes, verdict):
    """What was measured stands before it in the columns of the head."""
    head, row = ledger_table(Ledger((replace(ENTRY, **changes),))).splitlines()

    columns = ["precision", "graph", "against", "instances", "lost", "extra", "score error", "mask IoU", "AP", "float layers", "verdict"]
    assert [part.strip() for part in head.split("  ") if part.strip()] == columns
    assert row.endswith(verdict)
    for part in ("int8", "key", "fp32", "100 above 0.3", "5.0e-02", "0.9900, least 0.70"):
        assert part in row


def test_the_ledger_shows_ap_where_there_is_one():
    """Of how much it is."""
    assert "0.4512 of 0.4600" in ledger_table(Ledger((replace(ENTRY, ap=0.4512, reference_ap=0.46),)))
