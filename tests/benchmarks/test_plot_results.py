"""The pictures of docs/benchmarks.md."""

from __future__ import annotations

import sys

import pytest

from benchmarks import plot_results
from benchmarks.document import RESULTS, read_records


def test_panels_are_those_of_the_records_that_are_there():
    """One for each size and each kind of cameras; cases have one of their own."""
    timing = {"values_ms": [1.0, 2.0], "median_ms": 1.5}
    case = {"contenders": {"openvino fp32": {"timing": timing}}}
    records = {"yolact_frame": {"timings": {"openvino": timing}}, "cases": {"cases": {"tiny": case}}}

    assert dict(plot_results._frame_panels(records)) == {
        "YOLACT R-50, fp32, 1080p": {"openvino": timing},
        "Case tiny": {"openvino fp32": timing},
    }
    assert list(plot_results._stream_panels(records)) == []
    assert len(dict(plot_results._stream_panels(read_records(RESULTS)))) >= 2


@pytest.mark.slow
def test_both_pictures_are_written(tmp_path, monkeypatch):
    """From the committed records."""
    monkeypatch.setattr(sys, "argv", ["plot_results", str(tmp_path)])

    assert plot_results.main() == 0
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in (plot_results.FRAMES, plot_results.STREAMS))
