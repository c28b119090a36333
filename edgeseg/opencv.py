"""The one place that imports OpenCV, so that a missing or broken install is one clear error."""

from __future__ import annotations

import importlib
from typing import Any

from edgeseg.errors import MissingDependencyError


def opencv() -> Any:
    """The ``cv2`` module.

    Raises:
        MissingDependencyError: OpenCV is absent, or its native library does not load (a server without libGL).
    """
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
