"""GStreamer pipelines: how they are made and refused. pip's OpenCV has none, so none runs here."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import MissingDependencyError, SourceError, UsageError
from edgeseg.sources import gstreamer
from edgeseg.sources.capture import Target

PIPELINE = "rtspsrc location=rtsp://a:hush@host ! decodebin ! videoconvert ! video/x-raw,format=BGR ! appsink"


@pytest.fixture
def _has_gstreamer(monkeypatch):
    """An OpenCV that says it has GStreamer."""
    monkeypatch.setattr(gstreamer, "build_has", lambda feature: feature == "GStreamer")


def test_a_csi_camera_is_the_pipeline_that_jetsons_need():
    """Sensor, size, rate and flip go where they belong, and pictures come as BGR, newest first."""
    assert gstreamer.csi_pipeline("csi://1?width=1920&height=1080&fps=60&flip=2") == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1920,height=1080,framerate=60/1,format=NV12 ! "
        "nvvidconv flip-method=2 ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink drop=1 max-buffers=1"
    )
    assert "sensor-id=0 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1" in gstreamer.csi_pipeline("csi://0")


@pytest.mark.parametrize(
    "text", ["csi://", "csi://x", "csi://0/1", "csi://0?width=-1", "csi://0?size=1", "csi://0?width=", "csi://0?fps=30;x=1"]
)
def test_a_wrong_csi_name_is_wrong_usage(text):
    """What cannot be used is refused with an example, and never becomes part of a pipeline."""
    with pytest.raises(UsageError, match=r"Write csi://0, or csi://0\?width=1920"):
        gstreamer.csi_pipeline(text)


@pytest.mark.parametrize("open_it", [lambda: gstreamer.capture(PIPELINE, 5.0), lambda: gstreamer.csi_capture("csi://0", 5.0)])
def test_without_gstreamer_the_error_says_what_to_do(monkeypatch, open_it):
    """pip's OpenCV is named as the cause, the system's as the way out, and the password is not shown."""
    monkeypatch.setattr(gstreamer, "build_has", lambda _feature: False)

    with pytest.raises(MissingDependencyError, match=r"built without it.*apt install python3-opencv.*--system-site-packages") as caught:
        open_it()

    assert "hush" not in str(caught.value)


@pytest.mark.usefixtures("_has_gstreamer")
def test_a_pipeline_without_an_appsink_is_wrong_usage():
    """No picture could be taken from it; the message gives the end that it needs."""
    with pytest.raises(UsageError, match=r"has no appsink\. End it with: ! videoconvert ! video/x-raw,format=BGR ! appsink"):
        gstreamer.capture("videotestsrc ! fakesink", 5.0)


@pytest.mark.usefixtures("_has_gstreamer")
def test_pipelines_are_called_by_their_first_element():
    """Messages and results get a short name without the password."""
    assert gstreamer.capture(PIPELINE, 5.0).name == "pipeline 'rtspsrc location=rtsp://***@host ! ...'"
    assert gstreamer.csi_capture("csi://0", 5.0).name == "camera csi://0"


@pytest.mark.parametrize(("shape", "told"), [((4, 6, 4), "4 x 6 x 4"), ((6, 6), "6 x 6")])
def test_a_pipeline_that_gives_no_bgr_is_an_error(monkeypatch, shape, told):
    """Such a picture is not damaged: every other one would be the same, so the message says how the pipeline must end."""
    pixels = np.zeros(shape, np.uint8)
    monkeypatch.setattr(gstreamer.OpenCvCapture, "retrieved", lambda _self: pixels)

    with pytest.raises(SourceError, match=rf"pipeline gives pictures of {told} numbers, not BGR\. End it with: ! videoconvert !"):
        gstreamer.PipelineCapture(Target("pipeline", "", "")).read()


@pytest.mark.parametrize("pixels", [None, np.zeros((4, 6, 3), np.uint8)])
def test_a_pipeline_gives_its_pictures_and_none_for_damaged_ones(monkeypatch, pixels):
    """What is BGR goes through, and a picture that does not decode is none."""
    monkeypatch.setattr(gstreamer.OpenCvCapture, "retrieved", lambda _self: pixels)

    assert gstreamer.PipelineCapture(Target("pipeline", "", "")).read() is pixels
