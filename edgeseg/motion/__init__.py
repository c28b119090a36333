"""Frame-to-frame motion, and what was found moved along it without running a graph."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.motion.base import Flow, Motion
from edgeseg.motion.dis import DisFlow
from edgeseg.motion.estimator import MotionEstimator
from edgeseg.motion.panoptic import followed_things, propagate_panoptic
from edgeseg.motion.propagate import propagate
from edgeseg.motion.trail import Trail

FLOWS: dict[str, Callable[[], Flow]] = {DisFlow.name: DisFlow}
"""Name -> what makes an optical flow."""

__all__ = ["FLOWS", "DisFlow", "Flow", "Motion", "MotionEstimator", "Trail", "followed_things", "propagate", "propagate_panoptic"]
