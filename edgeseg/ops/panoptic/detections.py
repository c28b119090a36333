"""What goes into the panoptic head, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.types import F32Array, I32Array, I64Array

VOID = -1
"""Of no class. As uint8 it is 255, which the originals write; their uint8 ends at 255 less the stuff, int32 has room for all instances."""


@dataclass(frozen=True, repr=False)
class Detections:
    """N objects that the head may show."""

    boxes: F32Array
    """float32 (N, 4): x1, y1, x2, y2 in pixels of the padded input; corners inclusive, as the originals count."""
    scores: F32Array
    """float32 (N,)."""
    classes: I64Array
    """int64 (N,): things counted from 1, as the originals do; 0 is the stand-in for no detection at all, of no class."""
    mask_logits: F32Array
    """float32 (N, m, m): of the object's class, before the sigmoid."""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, repr=False)
class SlotMap:
    """Which plane of the head wins each pixel."""

    ids: I32Array
    """int32 (H, W): 0 .. S-1 are stuff, S + i is slot i, `VOID` is the unknown class."""
    classes: I64Array
    """int64 (K,): class of each slot, as `Detections` has it; one slot of class 0 where there is no detection."""
    kept: I64Array
    """int64 (K,): the detection in each slot; empty where there is none."""
    semantic: I32Array
    """int32 (H, W): the label with the largest logit, the lowest of equals; known wherever a slot wins."""
