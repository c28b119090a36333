"""The vote of the semantics on each instance. What it computes is said in `edgeseg.ops.panoptic.reference`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.ops.panoptic.detections import SlotMap
from edgeseg.ops.panoptic.reference import CONVERT_SHARE
from edgeseg.types import I64Array


@dataclass(frozen=True, repr=False)
class Verdicts:
    """What becomes of the head's slots."""

    present: I64Array
    """int64 (P,): the slots that have a pixel, ascending."""
    labels: I64Array
    """int64 (P,): what each is in the end: its own thing, or the stuff that takes its place; -1 of no class where there is no stuff."""
    stays: I64Array
    """int64 (Q,): those of the present that stay instances."""


def vote(found: SlotMap, stuff: int, labels: int) -> Verdicts:
    """The verdicts on a map.

    The stand-in for no detection is of the last stuff class and, other than in the reference, never an instance.

    Args:
        found: of the head, both of its maps at the picture's size.
        stuff: how many of the labels are stuff.
        labels: how many there are.
    """
    slots = len(found.classes)
    at = np.flatnonzero(found.ids.reshape(-1) >= stuff)
    seen = (found.ids.reshape(-1)[at] - stuff).astype(np.int64) * labels + found.semantic.reshape(-1)[at]
    counts = np.bincount(seen, minlength=slots * labels).reshape(slots, labels)
    areas = counts.sum(axis=1)
    own, most = stuff - 1 + found.classes, counts.argmax(axis=1)
    share = counts.max(axis=1, initial=0) / np.maximum(areas, 1)
    converted = (most != own) & (most < stuff) & (share >= CONVERT_SHARE)
    present = np.flatnonzero(areas)
    final = np.where(converted, most, own)[present]
    return Verdicts(present, final, present[final >= stuff])
