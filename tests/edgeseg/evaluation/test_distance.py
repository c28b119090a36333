"""AP by distance to the key frame."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import DistanceApMeter, MaskApMeter
from tests.edgeseg.evaluation.made_up import LABELS, A, B, result, truth

FRAMES = (
    (result((0, 0.9, A), (1, 0.8, B)), truth((0, A), (1, B))),
    (result((0, 0.8, A), since_key=1), truth((0, A), (1, B))),
    (result((0, 0.95, (5, 5, 17, 25)), since_key=3), truth((0, A))),
    (result((0, 0.7, A), (0, 0.99, B), since_key=1), truth((0, A))),
)


def measured(frames):
    meter = DistanceApMeter(LABELS)
    for found, there in frames:
        meter.add(found, there)
    return meter.compute()


def scored(frames):
    meter = MaskApMeter(LABELS)
    for found, there in frames:
        meter.add(found, there)
    return meter.compute()


def test_every_distance_is_scored_on_its_own_frames():
    """Distances come in ascending order, those that did not occur are absent, and each is what its frames alone give."""
    got = measured((*FRAMES[::-1],))

    assert list(got.at) == [0, 1, 3]
    for distance, ap in got.at.items():
        np.testing.assert_equal(vars(ap), vars(scored([pair for pair in FRAMES if pair[0].since_key == distance])))
    np.testing.assert_equal(vars(got.overall), vars(scored(FRAMES)))


def test_overall_is_not_the_mean_of_the_distances():
    """A key frame with AP 1 and a later frame with AP 1/2, whose false alarm outranks both finds: 2/3 together, not 3/4."""
    got = measured([(result((0, 0.8, A)), truth((0, A))), (result((0, 0.9, B), (0, 0.7, A), since_key=1), truth((0, A)))])

    assert (got.at[0].ap, got.at[1].ap, got.overall.ap) == pytest.approx((1, 1 / 2, 2 / 3))


def test_nothing_added_is_an_error():
    """An empty meter has no score."""
    with pytest.raises(EvaluationError, match="no frame"):
        DistanceApMeter(LABELS).compute()
