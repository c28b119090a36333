"""Ids of the instances of a map."""

from __future__ import annotations

import numpy as np

from edgeseg.candidates import Candidates
from edgeseg.ops.panoptic import SlotMap, ids_of_rows
from edgeseg.ops.panoptic.reference import object_channel, unify
from edgeseg.ops.panoptic.unify import vote

CASES = 300


def _case(seed: int) -> tuple[SlotMap, Candidates, np.ndarray]:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 7))
    hw = tuple(random.integers(1, 7, 2))
    kept = random.permutation(count + 2)[:count]
    found = SlotMap(
        random.integers(-1, 3 + count, hw).astype(np.int32), random.integers(1, 3, count), kept, random.integers(0, 5, hw).astype(np.int32)
    )
    verdicts = vote(found, 3, 5)
    zeros = np.zeros(count + 2, np.float32)
    candidates = Candidates(
        np.zeros((count + 2, 4), np.float32), zeros, zeros.astype(np.int64), None, kept, verdicts.stays, verdicts.present
    )
    return found, candidates, random.integers(0, random.choice([4, 400]), count + 2)


def test_rows_have_the_ids_that_the_object_channel_shows() -> None:
    """Of the original with its defects, up to the wrap of its bytes, and of the repaired form."""
    for seed in range(CASES):
        found, candidates, ids = _case(seed)
        _, numbers = unify(found, 3, 0)
        for faithful in (False, True):
            rows = ids_of_rows(candidates, ids, faithful)
            channel = object_channel(found, 3, ids[candidates.kept], faithful)
            shown = [np.unique(channel[(found.ids == 3 + slot) & (numbers > 0)]) for slot in candidates.rows.tolist()]
            assert [len(one) for one in shown] == [1] * len(rows)
            wanted = (rows + 1) % 256 if faithful else rows + 1
            assert np.concatenate([*shown, np.zeros(0, int)]).tolist() == wanted.tolist()


def test_without_the_vanished_the_rows_are_all() -> None:
    """Candidates that do not say what had a pixel are those of which something is left."""
    columns = (np.zeros((3, 4), np.float32), np.zeros(3, np.float32), np.zeros(3, np.int64))
    candidates = Candidates(*columns, None, np.array([2, 0, 1]), np.array([0, 2]))

    assert ids_of_rows(candidates, np.array([7, 8, 9])).tolist() == [9, 8]
    assert ids_of_rows(candidates, np.array([7, 8, 9]), faithful=True).tolist() == [9, 7]
