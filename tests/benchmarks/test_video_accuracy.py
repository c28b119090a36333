"""The record of video accuracy: what it says on made-up numbers, and that it is measured and drawn."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import plot_video, video_accuracy
from benchmarks.video_accuracy import adaptive_at_equal_cost, bounds, names, points_lost, relative_cost
from edgeseg.opencv import opencv


def run(ap, clip_ms, hota=None, flicker=0.02):
    """As much of a run's record as the bounds need."""
    return {
        "mask_ap": {"ap": ap},
        "clip_mean_ms": clip_ms,
        "cost_ms": {"mean": float(np.mean(clip_ms))},
        "identity": None if hota is None else {"hota": hota},
        "stability": {"flicker": flicker},
    }


@pytest.fixture
def runs():
    """A model without the light graph: fixed:5 costs half of every and loses 4 points; adaptive costs 0.3 to 0.7."""
    found = {name: run(0.7, [5.0, 10.0]) for name in names(can_warp=False)}
    found["every"] = run(0.75, [10.0, 20.0], flicker=0.04)
    found["every+track"] = run(0.75, [11.0, 22.0], hota=0.8)
    found["every+track+smooth"] = run(0.76, [11.0, 24.0], hota=0.82, flicker=0.01)
    found["fixed:5+propagate"] = run(0.71, [6.0, 9.0])
    found["fixed:5+propagate+track"] = run(0.71, [6.0, 9.0], hota=0.72)
    for drift, ap, share in zip(video_accuracy.DRIFTS, (0.74, 0.73, 0.72, 0.71), (0.7, 0.55, 0.45, 0.3), strict=True):
        found[f"adaptive:{drift}+propagate"] = run(ap, [10 * share, 20 * share])
    return found


def test_losses_are_points_and_costs_are_taken_clip_by_clip(runs):
    """0.75 to 0.71 is four points; 6 of 10 ms and 9 of 20 ms are half in all, 0.45 and 0.6 by clip."""
    assert points_lost(runs, "fixed:5+propagate") == pytest.approx(4)
    assert relative_cost(runs, "fixed:5+propagate") == {"mean": 0.5, "lower_quartile": 0.4875, "upper_quartile": 0.5625}


def test_adaptive_is_read_off_at_the_cost_of_fixed(runs):
    """Half way between the settings that cost 0.45 and 0.55 and lose 3 and 2 points; null beyond the settings."""
    assert adaptive_at_equal_cost(runs, "propagate") == {"cost_of_every": 0.5, "fixed_points_lost": 4.0, "adaptive_points_lost": 2.5}

    runs["fixed:5+propagate"] = run(0.71, [2.0, 4.0])
    assert adaptive_at_equal_cost(runs, "propagate")["adaptive_points_lost"] is None


def test_bounds_compare_ids_and_flicker_with_every_frame(runs):
    """HOTA against the same tracker on every frame, flicker against every frame without tracking; warped runs only where there are any."""
    got = bounds(runs)

    assert got["hota_of_every_tracked"] == {"every+track+smooth": 1.025, "fixed:5+propagate+track": 0.9}
    assert got["flicker_of_every_smoothed"] == 0.25
    assert set(got["adaptive_at_the_cost_of_fixed_5"]) == {"propagate"}
    assert "every" not in got["ap_points_lost"]


def test_all_steps_are_compared_where_the_bundle_can_warp():
    """Every interval and drift with both steps, each run once."""
    both = names(can_warp=True)

    assert len(set(both)) == len(both) == 3 + 2 * (3 + 1 + 4)
    assert set(names(can_warp=False)) == {name for name in both if "+warp" not in name}


def test_record_is_measured_and_drawn(tmp_path, monkeypatch, capsys):
    """A tiny run of all contenders gives a whole record, with its conditions, and a picture."""
    record, picture = tmp_path / "record.json", tmp_path / "picture.png"
    options = ["--clips", "2", "--frames", "2", "--backend", "onnxruntime", "--threads", "1", "--out", str(record)]
    monkeypatch.setattr(sys, "argv", ["video_accuracy", *options])
    assert video_accuracy.main() == 0

    found = json.loads(record.read_text())
    assert found["what"].startswith("2 synthetic clips of 2 frames, 640x360, seeds 900200 to 900201")
    assert {run["run"] for run in found["runs"]} in (set(names(can_warp=True)), set(names(can_warp=False)))
    assert all(len(run["clip_mean_ms"]) == 2 for run in found["runs"])
    assert found["runs"][0]["mean_interval"] == 1
    assert found["conditions"]["packages"]["onnxruntime"]
    assert "fixed:8+propagate" in capsys.readouterr().out

    monkeypatch.setattr(sys, "argv", ["plot_video", str(record), str(picture)])
    assert plot_video.main() == 0
    assert min(opencv().imread(str(picture)).shape[:2]) > 900
