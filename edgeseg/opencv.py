"""The one place that imports OpenCV, so that a missing or broken install is one clear error."""

from __future__ import annotations

import functools
import importlib
import os
import re
from typing import Any

from edgeseg.errors import MissingDependencyError

PICTURE_PIXELS_MAX = 1 << 28
"""Larger pictures are refused: a file of a few megabytes can claim gigabytes of pixels."""


@functools.cache
def opencv() -> Any:
    """The ``cv2`` module. Asked for many times a frame, so the answer is kept.

    Raises:
        MissingDependencyError: OpenCV is absent, or its native library does not load (a server without libGL).
    """
    # OpenCV reads its own limit once, when it is loaded; it is four times ours.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(PICTURE_PIXELS_MAX))
    try:
        return importlib.import_module("cv2")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "OpenCV is needed but not installed. On a desktop: pip install opencv-python. On a server without a display: "
            "pip install opencv-python-headless. On a Jetson use the system's python3-opencv, which has GStreamer."
        ) from error
    except ImportError as error:
        raise MissingDependencyError(
            f"OpenCV is installed but does not load ({error}). On a machine without libGL replace it with the headless "
            "build: pip uninstall -y opencv-python && pip install opencv-python-headless"
        ) from error


def build_has(feature: str) -> bool:
    """Whether the installed OpenCV was built with ``feature``, a line of its build information: GUI, GStreamer, FFMPEG."""
    line = re.search(rf"^\s*{re.escape(feature)}:\s*(\S+)", opencv().getBuildInformation(), re.MULTILINE)
    return line is not None and line.group(1) not in ("NO", "NONE")


def takes_name(name: str) -> bool:
    """Whether OpenCV can be given this name of a file. One that is not UTF-8 makes it end the process."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
