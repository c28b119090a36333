"""What runs the jobs of a batch: processes of this machine, Ray, or for tests the caller's own thread."""

from __future__ import annotations

from edgeseg.batch.executors.base import Executor, Lost
from edgeseg.batch.executors.local import LocalExecutor
from edgeseg.batch.executors.on_ray import RayExecutor

__all__ = ["Executor", "LocalExecutor", "Lost", "RayExecutor"]
