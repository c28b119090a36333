"""Mask AP: hand-made cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import MaskApMeter, coded
from edgeseg.evaluation.coco import overlaps
from edgeseg.types import GroundTruth
from tests.edgeseg.evaluation.made_up import LABELS, A, B, result, truth


def score(*pairs):
    """Mask AP of (result, truth) pairs."""
    meter = MaskApMeter(LABELS)
    for found, there in pairs:
        meter.add(found, there)
    return meter.compute()


def test_perfect_results_score_one():
    """Every object found exactly, in every class."""
    scored = score((result((0, 0.9, A), (1, 0.8, B)), truth((0, A), (1, B))))

    assert scored.ap == pytest.approx(1.0)
    assert scored.per_class == pytest.approx({"disc": 1.0, "box": 1.0})
    assert (scored.images, scored.instances) == (1, 2)


def test_a_missed_class_counts_zero():
    """One class found, the other not: the mean is one half."""
    assert score((result((0, 0.9, A)), truth((0, A), (1, B)))).ap == pytest.approx(0.5)


def test_nothing_found_scores_zero():
    """No result at all is 0, not an error and not NaN."""
    assert score((result(), truth((0, A), (1, B)))).ap == 0.0


def test_a_class_without_ground_truth_is_nan_and_left_out():
    """The mean is over classes that occur."""
    scored = score((result((0, 0.9, A)), truth((0, A))))

    assert scored.ap == pytest.approx(1.0)
    assert np.isnan(scored.per_class["box"])


def test_ap50_forgives_what_ap75_does_not():
    """A mask of IoU 0.6 counts at 0.50 only: 3 of 10 thresholds."""
    scored = score((result((0, 0.9, (5, 5, 17, 25))), truth((0, A))))

    assert (scored.ap50, scored.ap75) == pytest.approx((1.0, 0.0))
    assert scored.ap == pytest.approx(0.3)


def test_ignored_objects_neither_help_nor_hurt():
    """Finding or missing an ignored object leaves the score alone."""
    there = truth((0, A), (0, B), ignored={1})

    assert score((result((0, 0.9, A)), there)).ap == pytest.approx(1.0)
    assert score((result((0, 0.9, A), (0, 0.95, B)), there)).ap == pytest.approx(1.0)
    assert score((result((0, 0.9, A)), there)).instances == 1


def test_sizes_must_agree():
    """A result for another picture size is refused."""
    wrong = GroundTruth(np.zeros(0, np.int64), (), np.zeros(0, bool), (10, 10))

    with pytest.raises(EvaluationError, match="do not belong together"):
        MaskApMeter(LABELS).add(result(), wrong)


def test_nothing_added_is_an_error():
    """An empty meter has no score."""
    with pytest.raises(EvaluationError, match="no frame"):
        MaskApMeter(LABELS).compute()


def test_a_part_of_the_frames_is_scored_as_if_it_were_alone():
    """Frames named by their position give what a meter that saw only them gives; the others do not matter."""
    frames = [
        (result((0, 0.9, A), (0, 0.8, B)), truth((0, A))),
        (result((0, 0.7, (5, 5, 17, 25))), truth((0, A), (1, B))),
        (result(), truth((1, B), (0, A), ignored={0})),
    ]
    meter = MaskApMeter(LABELS)
    for found, there in frames:
        meter.add(found, there)

    for part in ([0], [1], [2], [0, 2], [1, 2], [0, 1, 2]):
        np.testing.assert_equal(vars(meter.compute(part)), vars(score(*[frames[number] for number in part])))
    with pytest.raises(EvaluationError, match="no frame"):
        meter.compute([])


def test_truth_may_come_coded():
    """Coding the truth beforehand changes nothing, and coding it twice is coding it once."""
    there = truth((0, A), (1, B), ignored={1})
    code = coded(there)

    assert coded(code) is code
    np.testing.assert_equal(vars(score((result((0, 0.9, A)), code))), vars(score((result((0, 0.9, A)), there))))


def test_overlap_is_iou_and_for_ignored_objects_the_part_of_the_result():
    """A 20 x 20 object and its left half: IoU 0.5. The same half lies wholly on it when it is ignored, and no class is looked at."""
    found = result((0, 0.9, (5, 5, 15, 25)), (1, 0.8, B)).instances

    assert overlaps(found, coded(truth((0, A), (0, B)))) == pytest.approx(np.array([[0.5, 0], [0, 1]]))
    assert overlaps(found, coded(truth((0, A), (0, B), ignored={0}))) == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert overlaps(found.select(np.zeros(0, np.int64)), coded(truth((0, A)))).shape == (0, 1)
    assert overlaps(found, coded(truth())).shape == (2, 0)
