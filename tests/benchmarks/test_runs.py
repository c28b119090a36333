"""The benchmarks themselves run and write a whole record; what they measure is in benchmarks/results."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from benchmarks import demo_accuracy, yolact_frame
from tests.export.nets.facts import manifest
from tests.fill_weights import fill_state_dict


def test_demo_accuracy_scores_held_out_frames(tmp_path, monkeypatch):
    """On a few frames the shipped bundle is already far from useless, and the record says under what conditions."""
    out = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", ["demo_accuracy", "--frames", "10", "--out", str(out)])

    assert demo_accuracy.main() == 0

    record = json.loads(out.read_text())
    assert record["every_visible_instance"]["images"] == 10
    assert record["every_visible_instance"]["ap50"] > 0.6
    assert record["conditions"]["packages"]["openvino"]


@pytest.mark.slow
def test_yolact_frame_times_three_contenders(tmp_path, monkeypatch):
    """Both backends and the eager peer find the same number of instances, and every duration is kept."""
    weights, out = tmp_path / "yolact_resnet50_54_800000.pth", tmp_path / "record.json"
    torch.save(fill_state_dict(manifest("yolact_resnet50")), weights)
    monkeypatch.setattr(sys, "argv", ["yolact_frame", "--weights", str(weights), "--rounds", "2", "--warm-up", "1", "--out", str(out)])

    assert yolact_frame.main() == 0

    record = json.loads(out.read_text())
    assert set(record["detections"].values()) == {yolact_frame.DETECTIONS}
    assert {len(timing["values_ms"]) for timing in record["timings"].values()} == {2}
    assert all(peak > 100 for peak in record["peak_memory_mb"].values())
