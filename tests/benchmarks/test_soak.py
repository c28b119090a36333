"""The reading of a soak: growth an hour, and lines as they come."""

from __future__ import annotations

import json

import pytest

from benchmarks.soak import Lines, Sample, main, slopes


def test_growth_is_told_by_the_hour():
    """2 MB more and 10 ms older in half an hour, with one stretch without results, and nothing else."""
    samples = [
        Sample(at_s=at_s, memory_mb=100 + at_s / 900, threads=5, handles=9, results=0, age_ms=None if at_s == 600 else 20 + at_s / 180)
        for at_s in range(0, 1801, 60)
    ]

    found = slopes(samples)

    assert found == pytest.approx({"memory_mb": 4.0, "threads": 0.0, "handles": 0.0, "age_ms": 20.0}, abs=1e-3)


def test_lines_are_read_once_and_whole(tmp_path):
    """A line that is half written counts when its end is there."""
    lines = Lines(tmp_path / "results.jsonl")
    whole = [json.dumps({"age_ms": age, "step": "key", "instances": [{}] * age}) + "\n" for age in (1, 2, 3)]
    assert lines.new_ages_ms() == []

    lines.file.write_text(whole[0] + whole[1][:5])
    assert lines.new_ages_ms() == [1]
    lines.file.write_text("".join(whole))

    assert lines.new_ages_ms() == [2, 3]
    assert (lines.count, lines.instances, lines.steps) == (3, 6, {"key": 3})


def test_run_without_anything_after_the_warm_up_is_wrong_usage(monkeypatch, capsys):
    """Else it would be known when the time is over."""
    monkeypatch.setattr("sys.argv", ["soak", "--minutes", "10"])

    with pytest.raises(SystemExit, match="2"):
        main()
    assert "must be at least one more" in capsys.readouterr().err
