"""Identities of instances from frame to frame, and masks that are smooth in time."""

from __future__ import annotations

from edgeseg.track.embedding import EmbeddingTracker
from edgeseg.track.settings import TrackerSettings
from edgeseg.track.tracker import Tracker

__all__ = ["EmbeddingTracker", "Tracker", "TrackerSettings"]
