"""From a video checkpoint to the detections of the original code on eight frames: checkpoint, export, bundle, backend and pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import edgeseg
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.types import Frame, Step
from tests.export.nets.facts import video_frame, video_golden
from tests.goldens import NEAR_TIES, SCORE, match


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("config", ["yolact_edge_vid_resnet50", pytest.param("yolact_edge_vid", marks=pytest.mark.slow)])
def test_every_original_detection_is_found_and_no_other(official_bundle: Callable[[str], Path], config: str, backend: str) -> None:
    """On key frames 0 and 5 and the frames warped from them: class, score, box and mask within the tolerances of tests/goldens.py."""
    frames = video_golden(config)["frames"]
    settings = StreamSettings(schedule="fixed:5")
    with edgeseg.load(official_bundle(config), backend=backend, score_threshold=SCORE) as model, Pipeline(model, settings) as stream:
        results = [stream.step(Frame(video_frame(frame["frame"]), index=frame["frame"])) for frame in frames]

    assert [result.step for result in results] == [Step.KEY if frame["key"] else Step.WARP for frame in frames]
    for frame, result in zip(frames, results, strict=True):
        found = match(frame["final"], result.to_json()["instances"])
        allowed = NEAR_TIES.get((config, f"astronaut_pan {frame['frame']}"), 0)
        assert (found.missing <= allowed, found.extra <= allowed) == (True, True), f"frame {frame['frame']}: {found}"
