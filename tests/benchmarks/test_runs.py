"""The benchmarks themselves run and write a whole record; what they measure is in benchmarks/results."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from benchmarks import demo_accuracy, maskrcnn_frame, precision_frame, video_frame, video_soak, yolact_frame
from benchmarks.fill_rcnn import OVERRIDES, fill_rcnn
from benchmarks.fill_weights import fill_state_dict
from benchmarks.rcnn_parts import PARTS
from export.recipes import recipe
from export.recipes.base import ExportOptions
from export.reduce import Reduction
from export.run import Job, export_bundle
from export.samples import shipped
from tests.bundles import tiny_bundle
from tests.export.nets.facts import manifest


def test_demo_accuracy_scores_held_out_frames(tmp_path, monkeypatch):
    """On a few frames the shipped bundle is already far from useless, and the record says under what conditions."""
    out = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", ["demo_accuracy", "--frames", "10", "--out", str(out)])

    assert demo_accuracy.main() == 0

    record = json.loads(out.read_text())
    assert record["every_visible_instance"]["images"] == 10
    assert record["every_visible_instance"]["ap50"] > 0.6
    assert record["conditions"]["packages"]["openvino"]


def test_video_frame_gives_every_contender_every_stretch(tmp_path, monkeypatch):
    """All of them see the same frames, the first turn is kept apart, and steps are those of the schedules."""
    out, frames = tmp_path / "record.json", 3 * video_frame.STRETCH
    bundle = tiny_bundle(tmp_path / "b", warp=True)
    clip = f"synthetic:frames={frames},size=64x48"
    monkeypatch.setattr(video_frame, "CAMERA_FPS", 1000.0)
    monkeypatch.setattr(sys, "argv", ["video_frame", "--bundle", str(bundle), "--clip", clip, "--out", str(out)])

    assert video_frame.main() == 0

    contenders = json.loads(out.read_text())["contenders"]
    assert {len(found["latency_ms"]) for found in contenders.values()} == {2 * video_frame.STRETCH}
    assert {len(found["warm_up_ms"]) for found in contenders.values()} == {video_frame.STRETCH}
    assert contenders["every"]["steps"] == {"key": 50}
    assert contenders["fixed:5 warp"]["steps"] == {"key": 10, "warp": 40}
    assert contenders["overlap"]["steps"] == {"propagate": 50}


def test_video_frame_leaves_warping_out_where_there_is_no_light_graph(tmp_path, monkeypatch):
    """All other contenders run on a bundle of Mask R-CNN."""
    out, bundle = tmp_path / "record.json", tiny_bundle(tmp_path / "b", family="maskrcnn")
    clip = f"synthetic:frames={2 * video_frame.STRETCH},size=64x48"
    monkeypatch.setattr(video_frame, "CAMERA_FPS", 1000.0)
    monkeypatch.setattr(sys, "argv", ["video_frame", "--bundle", str(bundle), "--clip", clip, "--out", str(out)])

    assert video_frame.main() == 0

    record = json.loads(out.read_text())
    assert set(record["contenders"]) == set(record["settings"]) == set(video_frame.CONTENDERS) - {video_frame.WARPING}
    assert record["contenders"]["fixed:5 propagate"]["steps"] == {"key": 5, "propagate": 20}


@pytest.mark.parametrize("options", [["--fake", "--frames", "400"], ["--frames", "40"]], ids=["fake", "demo"])
def test_video_soak_leaves_nothing_behind(tmp_path, monkeypatch, options):
    """No thread stays, no id is shared or used again; the long runs, with their memory, are in benchmarks/results."""
    out = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", ["video_soak", *options, "--out", str(out)])

    assert video_soak.main() == 0

    record = json.loads(out.read_text())
    before, during, after = record["threads_before_during_after"]
    assert (after, during) == (before, before + 1)
    assert (record["ids_shared_in_a_frame"], record["ids_used_again_after_expiry"]) == (0, 0)
    assert record["ids_given"] > 2


@pytest.mark.slow
def test_maskrcnn_frame_times_every_contender_and_every_part(tmp_path, monkeypatch):
    """At one size: both backends with either number of proposals, the eager peer, and the shares of the graph."""
    weights, out = tmp_path / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", tmp_path / "record.json"
    shapes = {name: tuple(value.shape) for name, value in recipe(maskrcnn_frame.RECIPE).build_net().state_dict().items()}
    torch.save(fill_rcnn(shapes, OVERRIDES[maskrcnn_frame.RECIPE]), weights)
    options = ["--sizes", "240", "--rounds", "2", "--part-rounds", "2", "--warm-up", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["maskrcnn_frame", "--weights", str(weights), *options])

    assert maskrcnn_frame.main() == 0

    found = json.loads(out.read_text())["sizes"]["240"]
    assert found["network_hw"] == [240, 426]
    assert len(found["timings"]) == 5
    assert len({count for name, count in found["detections"].items() if name.endswith("1000/100")}) == 1
    assert {len(timing["values_ms"]) for timing in found["timings"].values()} == {2}
    assert all(tuple(parts["parts"]) == PARTS for parts in found["parts"].values())
    assert all(peak > 100 for peak in found["peak_memory_mb"].values())


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


@pytest.mark.slow
def test_precision_frame_times_every_precision(tmp_path, monkeypatch):
    """On every CPU backend, beside the eager peer; the ledger's layers in float are in the record."""
    weights, out = tmp_path / "yolact_resnet50_54_800000.pth", tmp_path / "record.json"
    torch.save(fill_state_dict(manifest("yolact_resnet50")), weights)
    reduction = Reduction(("int8",), shipped().first(1), shipped().first(1), accept_loss=True)
    export_bundle(Job(recipe("yolact_resnet50"), weights, tmp_path / "b", ExportOptions(), shipped().first(1), reduction), lambda _: None)
    options = ["--bundle", str(tmp_path / "b"), "--weights", str(weights), "--rounds", "2", "--warm-up", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["precision_frame", *options])

    assert precision_frame.main() == 0

    record = json.loads(out.read_text())
    assert len(record["timings"]) == len(precision_frame.CONTENDERS) + 1
    assert {len(timing["values_ms"]) for timing in record["timings"].values()} == {2}
    assert set(record["times_as_fast_as_eager"]) == {" ".join(contender) for contender in precision_frame.CONTENDERS}
    assert record["float_layers"]["fp32"] == []
