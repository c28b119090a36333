"""What can be set about tracking."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.errors import UsageError


@dataclass(frozen=True)
class TrackerSettings:
    """When tracks begin, go on and end. Scores and similarities are in 0..1, times in frames."""

    start_score: float = 0.5
    """An instance that belongs to no track begins one when it scores this or more."""
    strong_score: float = 0.4
    """Instances that score this or more choose their tracks first; weaker ones get what is left (ByteTrack's two passes)."""
    min_overlap: float = 0.3
    """Mask IoU with the track's mask, moved along the flow, from which an instance may be its next appearance."""
    min_likeness: float = 0.5
    """Colour similarity from which an instance may be a track that was out of sight."""
    same_place: float = 0.55
    """Mask IoU with an object that has an id, from which an instance is taken for another opinion about that object."""
    max_age_frames: int = 45
    """How long a track out of sight is remembered."""
    coast_frames: int = 5
    """How long a track that the graph misses keeps its place where the flow takes it; with smoothing it is shown there."""

    def __post_init__(self) -> None:
        for name in ("start_score", "strong_score", "min_overlap", "min_likeness", "same_place"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be in 0..1, got {getattr(self, name)}")
        for name in ("max_age_frames", "coast_frames"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, got {getattr(self, name)}")
