"""``edgeseg demo``, with a tiny bundle in place of the shipped one."""

from __future__ import annotations

import pytest

from edgeseg.cli import demo, main
from edgeseg.errors import MissingDependencyError
from edgeseg.sources import open_source
from tests.bundles import tiny_bundle


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The verb finds a tiny bundle with as many labels as the synthetic source has."""
    bundle = tiny_bundle(tmp_path / "shipped", labels=10, warp=True)
    monkeypatch.setattr(demo, "demo_bundle", lambda: bundle)
    return bundle


def test_demo_writes_a_video_and_prints_what_it_found(shipped, tmp_path, capsys, monkeypatch):
    """The video has every frame, all contenders side by side; counts hold only confident instances; AP and cost are printed."""
    monkeypatch.chdir(tmp_path)

    assert main(["demo", "--frames", "3", "--backend", "onnxruntime"]) == 0

    text = capsys.readouterr().out
    for part in (
        "backend onnxruntime (as asked)",
        "found in 3 frames: 3 x thing_0, 3 x thing_1",
        "schedule",
        "mask AP",
        "every frame a key frame",
        "fixed:5, warped",
        "fixed:5, propagated",
        "adaptive, propagated",
        "wrote edgeseg_demo.mp4",
    ):
        assert part in text
    with open_source(tmp_path / "edgeseg_demo.mp4") as source:
        assert (source.info.frame_count, source.info.image_hw) == (3, (2 * 390, 2 * 640))


def test_demo_without_pycocotools_says_what_is_left_out(shipped, tmp_path, capsys, monkeypatch):
    """AP needs an optional package; without it all else is done and a line names the extra."""

    def missing(_labels):
        raise MissingDependencyError.for_extra("pycocotools", "eval")

    monkeypatch.setattr(demo, "MaskApMeter", missing)

    assert main(["demo", "--frames", "1", "--backend", "onnxruntime", "--out", str(tmp_path / "a.mp4")]) == 0

    assert "pip install 'edgeseg[eval]'" in capsys.readouterr().out
    assert (tmp_path / "a.mp4").exists()


def test_place_that_cannot_be_written_fails_before_the_model_is_loaded(tmp_path, capsys, monkeypatch):
    """The output is checked first."""
    monkeypatch.setattr(demo, "load", lambda *_args, **_options: pytest.fail("the model was loaded"))

    assert main(["demo", "--out", str(tmp_path / "missing" / "a.mp4")]) == 1

    assert "mkdir -p" in capsys.readouterr().err
