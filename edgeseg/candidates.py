"""What a panoptic head chose from: what a tracker with embeddings needs to know of a frame."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.types import F32Array, I64Array


@dataclass(frozen=True, repr=False)
class Candidates:
    """All detections that a panoptic head looked at, before it removed some; what a tracker with embeddings needs of them."""

    boxes: F32Array
    """float32 (M, 4): x1, y1, x2, y2 in pixels of the network's input, corners inclusive."""
    scores: F32Array
    """float32 (M,): descending."""
    classes: I64Array
    """int64 (M,): index into the bundle's labels."""
    embeddings: F32Array | None
    """float32 (M, D), or None from models without a track head."""
    kept: I64Array
    """int64 (K,): the candidate behind each slot of the head, in the order of the slots; empty if there is no candidate."""
    rows: I64Array
    """int64 (R,): for each row of the instances, its place in ``kept``; ascending."""
    present: I64Array | None = None
    """int64 (P,): places in ``kept`` that had a pixel before the vote with the semantics made stuff of some; None: those of ``rows``."""
    stand_in: F32Array | None = None
    """float32 (D,): where a model with a track head found nothing, what it makes of the first pixel, as VPSNet's original does."""

    def __post_init__(self) -> None:
        m, k = len(self.scores), len(self.kept)
        vectors, stand_in = self.embeddings, self.stand_in
        checks = {
            f"{m} scores need boxes of shape ({m}, 4), got {self.boxes.shape}": self.boxes.shape == (m, 4),
            f"scores and classes must have shape ({m},), got {self.classes.shape}": self.scores.shape == self.classes.shape == (m,),
            f"{m} scores need {m} embeddings": vectors is None or vectors.shape[:-1] == (m,),
            "a stand-in must have the shape of an embedding": stand_in is None or _is_one_of(stand_in, vectors),
            f"kept must be places among {m}, got {self.kept}": _are_places(self.kept, m),
            f"rows must be places among {k}, got {self.rows}": _are_places(self.rows, k),
            f"present must be places among {k}, got {self.present}": self.present is None or _are_places(self.present, k),
        }
        for message, valid in checks.items():
            if not valid:
                raise ValueError(message)

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        return f"Candidates(n={len(self)}, kept={len(self.kept)}, rows={len(self.rows)})"


def _are_places(index: I64Array, count: int) -> bool:
    return index.ndim == 1 and bool(((index >= 0) & (index < count)).all())


def _is_one_of(vector: F32Array, vectors: F32Array | None) -> bool:
    return vectors is not None and vector.shape == vectors.shape[1:]
