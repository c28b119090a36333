"""edgeseg: instance and panoptic segmentation of live video on edge devices.

import edgeseg

model = edgeseg.load("bundle")
result = model(image_bgr)
"""

from __future__ import annotations

from edgeseg.data import demo_bundle, panoptic_demo_bundle
from edgeseg.errors import (
    BackendError,
    BundleError,
    CheckpointError,
    EdgesegError,
    EvaluationError,
    ExportError,
    HangError,
    MissingDependencyError,
    SinkError,
    SourceError,
    UsageError,
)
from edgeseg.loader import load, load_remote
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.sources import open_source
from edgeseg.stream import Summary, run, stream
from edgeseg.types import Frame, Instances, Label, Panoptic, Result, Segment, Step, Tick

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "BundleError",
    "CheckpointError",
    "EdgesegError",
    "EvaluationError",
    "ExportError",
    "Frame",
    "HangError",
    "Instances",
    "Label",
    "MissingDependencyError",
    "Model",
    "Panoptic",
    "Pipeline",
    "Result",
    "Segment",
    "SinkError",
    "SourceError",
    "Step",
    "StreamSettings",
    "Summary",
    "Tick",
    "UsageError",
    "demo_bundle",
    "load",
    "load_remote",
    "open_source",
    "panoptic_demo_bundle",
    "run",
    "stream",
]
