"""Which id an instance of the map has, given those that a tracker gave to the candidates."""

from __future__ import annotations

import numpy as np

from edgeseg.candidates import Candidates
from edgeseg.ops.panoptic.reference import renumbered
from edgeseg.types import I64Array


def ids_of_rows(candidates: Candidates, ids: I64Array, faithful: bool = False) -> I64Array:
    """int64 (R,): the id of each row of the instances.

    Args:
        candidates: of the frame.
        ids: int64 (M,): of each candidate; -1 is none.
        faithful: whether to keep two defects of the original (`edgeseg.ops.panoptic.reference.object_channel`): a slot without a
            pixel shifts the ids of those behind it, and equal ids are renumbered from 100.
    """
    of_slots = ids[candidates.kept]
    if not faithful:
        return of_slots[candidates.rows]
    present = candidates.rows if candidates.present is None else candidates.present
    shifted: I64Array = renumbered(of_slots)[np.searchsorted(present, candidates.rows)]
    return shifted
