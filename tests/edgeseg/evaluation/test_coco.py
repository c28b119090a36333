"""Mask AP: hand-made cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import MaskApMeter
from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.types import GroundTruth, Instances, Label, Result, Step

HW = (60, 80)
LABELS = (Label("disc", 3), Label("box", 7))


def rectangle(x1, y1, x2, y2):
    """A mask that is exactly a rectangle of pixels."""
    return SoftMask(np.ones((1, 1), np.float32), (x1, y1, x2, y2), (x1, y1, x2, y2))


def result(*found):
    """A result of (class, score, (x1, y1, x2, y2)) triples."""
    return Result(
        frame_index=0,
        step=Step.KEY,
        labels=LABELS,
        image_hw=HW,
        instances=Instances(
            boxes=np.array([box for _, _, box in found], np.float32).reshape(-1, 4),
            scores=np.array([score for _, score, _ in found], np.float32),
            classes=np.array([label for label, _, _ in found], np.int64),
            masks=SoftMasks(tuple(rectangle(*box) for _, _, box in found), HW),
            track_ids=np.full(len(found), -1, np.int64),
            image_hw=HW,
        ),
    )


def truth(*objects, ignored=()):
    """Ground truth of (class, (x1, y1, x2, y2)) pairs."""
    masks = []
    for _, (x1, y1, x2, y2) in objects:
        mask = np.zeros(HW, bool)
        mask[y1:y2, x1:x2] = True
        masks.append(mask)
    flags = np.array([k in ignored for k in range(len(objects))], bool)
    return GroundTruth(np.array([label for label, _ in objects], np.int64), tuple(masks), flags, HW)


def score(*pairs):
    """Mask AP of (result, truth) pairs."""
    meter = MaskApMeter(LABELS)
    for found, there in pairs:
        meter.add(found, there)
    return meter.compute()


A, B = (5, 5, 25, 25), (40, 10, 70, 40)


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
