"""GStreamer pipelines, written out or for a Jetson's camera connector (``csi://0``)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from edgeseg.errors import MissingDependencyError, SourceError, UsageError
from edgeseg.opencv import build_has
from edgeseg.paths import is_file
from edgeseg.sources.capture import OPEN_TIMEOUT_S, OpenCvCapture, Target, is_bgr, redacted
from edgeseg.sources.guarded import GuardedCapture
from edgeseg.types import U8Array

CSI_DEFAULTS = {"width": 1280, "height": 720, "fps": 30, "flip": 0}
"""Options of ``csi://``. ``flip`` is nvvidconv's flip-method: 0 as it is, 2 upside down."""
_PIPELINE_ADVICE = "Try it with gst-launch-1.0, with fakesink in place of appsink: it says what is wrong."
_CSI_ADVICE = "Is the camera connected, not in use, and nvargus-daemon running (sudo systemctl restart nvargus-daemon)?"
_NO_GSTREAMER = (
    "needs GStreamer, and this OpenCV was built without it, as all of pip's are. On a Jetson or Debian: pip uninstall opencv-python "
    "opencv-python-headless, apt install python3-opencv, and make the virtual environment with --system-site-packages. Without GStreamer "
    "edgeseg reads rtsp:// addresses and USB cameras (0, /dev/video0)."
)


_INTO_BGR = "! videoconvert ! video/x-raw,format=BGR ! appsink drop=1 max-buffers=1"


class PipelineCapture(OpenCvCapture):
    """A pipeline. Unless it says which format its pictures have, that is whatever its elements agree on."""

    def read(self) -> U8Array | None:
        """As in `Capture`; SourceError where pictures are not BGR, which no other attempt would help."""
        pixels = self.retrieved()
        if pixels is not None and not is_bgr(pixels):
            shape = " x ".join(map(str, pixels.shape))
            raise SourceError(f"{self.name} gives pictures of {shape} numbers, not BGR. End it with: {_INTO_BGR}")
        return pixels


def matches(text: str) -> bool:
    """Elements joined by exclamation marks: ``v4l2src ! videoconvert ! video/x-raw,format=BGR ! appsink``; a file may be called so too."""
    return " ! " in text and not is_file(text)


def matches_csi(text: str) -> bool:
    """``csi://0``, ``csi://1?width=1920&height=1080&fps=30``."""
    return text.lower().startswith("csi://")


def csi_pipeline(text: str) -> str:
    """The pipeline that reads a camera at a Jetson's connector, through its image processor, into BGR.

    Raises:
        UsageError: the number or an option cannot be used.
    """
    parts = urlsplit(text)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    wrong = [f"{name}={value}" for name, value in given.items() if name not in CSI_DEFAULTS or not value.isdecimal()]
    if not parts.netloc.isdecimal() or parts.path.strip("/") or wrong:
        raise UsageError(
            f"{text!r} cannot be used{': ' + ', '.join(wrong) if wrong else ''}. Write csi://0, or csi://0?width=1920&height=1080&fps=30&flip=2."
        )
    chosen = CSI_DEFAULTS | {name: int(value) for name, value in given.items()}
    return (
        f"nvarguscamerasrc sensor-id={parts.netloc} ! video/x-raw(memory:NVMM),width={chosen['width']},height={chosen['height']},"
        f"framerate={chosen['fps']}/1,format=NV12 ! nvvidconv flip-method={chosen['flip']} ! video/x-raw,format=BGRx ! videoconvert ! "
        "video/x-raw,format=BGR ! appsink drop=1 max-buffers=1"
    )


def csi_capture(text: str, stall_s: float) -> GuardedCapture:
    """A camera at a Jetson's connector.

    Raises:
        UsageError: the text cannot be used.
        MissingDependencyError: OpenCV has no GStreamer.
    """
    return _capture(f"camera {text}", csi_pipeline(text), _CSI_ADVICE, stall_s)


def capture(text: str, stall_s: float) -> GuardedCapture:
    """A pipeline as the user wrote it.

    Raises:
        UsageError: it has no appsink, from which pictures are taken.
        MissingDependencyError: OpenCV has no GStreamer.
    """
    name = f"pipeline '{redacted(text).split(' ! ')[0]} ! ...'"
    if "appsink" not in text:
        raise UsageError(f"{name} has no appsink. End it with: {_INTO_BGR}")
    return _capture(name, text, _PIPELINE_ADVICE, stall_s)


def _capture(name: str, pipeline: str, advice: str, stall_s: float) -> GuardedCapture:
    if not build_has("GStreamer"):
        raise MissingDependencyError(f"{name} {_NO_GSTREAMER}")
    target = Target(name, pipeline, advice, "CAP_GSTREAMER")
    # OpenCV 4.6 waits for ever for a pipeline that does not start, and refuses to be told of limits.
    return GuardedCapture(lambda: PipelineCapture(target), OPEN_TIMEOUT_S, stall_s)
