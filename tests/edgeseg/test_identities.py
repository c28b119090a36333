"""Where ids of a track head meet the map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgeseg.candidates import Candidates
from edgeseg.families import Decoded
from edgeseg.identities import Identities
from edgeseg.regions import things_of
from edgeseg.types import Panoptic, Segment


def _decoded(objects: Sequence[int], kept: Sequence[int], rows: Sequence[int], present: Sequence[int]) -> Decoded:
    """A map with a column for each row of the instances; the candidates look like the given objects."""
    ids = np.zeros((4, 8), np.int32)
    for place in range(len(rows)):
        ids[:, place] = place + 1
    segments = tuple(Segment(place + 1, 0, True, 0.9, 4) for place in range(len(rows)))
    panoptic, count = Panoptic(ids, segments), len(objects)
    candidates = Candidates(
        boxes=np.array([(10 * k, 0, 10 * k + 5, 5) for k in objects], np.float32).reshape(count, 4),
        scores=np.full(count, 0.9, np.float32),
        classes=np.zeros(count, np.int64),
        embeddings=30 * np.eye(8, dtype=np.float32)[list(objects)],
        kept=np.array(kept, np.int64),
        rows=np.array(rows, np.int64),
        present=np.array(present, np.int64),
    )
    return Decoded(things_of(panoptic), panoptic, candidates)


FIRST = _decoded([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("kept", "rows", "present", "repaired", "faithful"),
    [
        ([0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 3], [0, 1, 3]),
        # The second slot has no pixel: in the original all behind it get the id before theirs.
        ([0, 1, 2, 3], [0, 2, 3], [0, 2, 3], [0, 2, 3], [0, 1, 2]),
        # It has some, which the vote gave to stuff: nothing slips.
        ([0, 1, 2, 3], [0, 2, 3], [0, 1, 2, 3], [0, 2, 3], [0, 2, 3]),
        ([], [], [], [], []),
    ],
)
def test_ids_reach_rows_and_segments(
    kept: list[int], rows: list[int], present: list[int], repaired: list[int], faithful: list[int]
) -> None:
    """Through the slots of the head, from which removed candidates are absent; faithfully, with the original's slip."""
    for is_faithful, wanted in ((False, repaired), (True, faithful)):
        identities = Identities(faithful=is_faithful)
        identities.recognise(FIRST)
        found = identities.recognise(_decoded([0, 1, 2, 3], kept, rows, present))

        assert found.instances.track_ids.tolist() == wanted
        assert [segment.track_id for segment in found.panoptic.segments] == wanted


@pytest.mark.parametrize(("faithful", "wanted"), [(False, [4]), (True, [5])])
def test_a_frame_without_objects_takes_an_id_when_faithful(faithful: bool, wanted: list[int]) -> None:
    """The next new object has the one after it."""
    identities = Identities(faithful=faithful)
    identities.recognise(FIRST)
    identities.recognise(_decoded([], [], [], []))

    assert identities.recognise(_decoded([6], [0], [0], [0])).instances.track_ids.tolist() == wanted
