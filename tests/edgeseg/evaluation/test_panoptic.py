"""Panoptic quality: cases worked by hand, a plain reference on random maps, and COCO's own evaluation where it is installed."""

from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import PqMeter
from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import Panoptic, Segment
from tests.edgeseg.evaluation.panoptic_reference import LABELS, qualities, random_found, random_truth, window_counts

ROAD, SKY, CAR, DOG = range(4)
CASES = 1_000
HAS_ORACLE = importlib.util.find_spec("panopticapi") is not None


def found_map(ids, *segments):
    """A result of a nested list and (id, class) pairs."""
    ids = np.array(ids, np.int32)
    return Panoptic(ids, tuple(Segment(n, label, label >= CAR, 1.0, int((ids == n).sum())) for n, label in segments))


def true_map(ids, *segments):
    """Ground truth of a nested list and (id, class) or (id, class, is_crowd) entries."""
    return PanopticTruth(np.array(ids, np.int32), {n: TruthSegment(*kind) for n, *kind in segments})


def score(*pairs):
    meter = PqMeter(LABELS)
    for found, truth in pairs:
        meter.add(found, truth)
    return meter.compute()


def test_perfect_map_scores_one():
    """Ids need not agree; classes that are nowhere do not count."""
    got = score((found_map([[4, 4, 9, 9]], (4, ROAD), (9, CAR)), true_map([[1, 1, 2, 2]], (1, ROAD), (2, CAR))))

    assert (got.overall.pq, got.overall.sq, got.overall.rq, got.overall.classes) == (1, 1, 1, 2)
    assert (got.things.classes, got.stuff.classes) == (1, 1)
    assert np.isnan(got.per_class["dog"].pq)


def test_numbers_of_a_case_by_hand():
    """A car found with IoU 3/4, one missed, one extra: PQ is 0.75 / 2, SQ 0.75, RQ 1/2."""
    got = score(
        (
            found_map([[1, 1, 1, 0, 0, 0, 2, 2]], (1, CAR), (2, CAR)),
            true_map([[5, 5, 5, 5, 6, 6, 7, 7]], (5, CAR), (6, CAR), (7, ROAD)),
        )
    )

    assert (got.things.pq, got.things.sq, got.things.rq) == (0.375, 0.75, 0.5)
    assert (got.stuff.pq, got.stuff.sq, got.stuff.rq) == (0, 0, 0)
    assert got.overall.pq == 0.1875
    assert (got.counts["car"].matched, got.counts["car"].extra, got.counts["car"].missed) == (1, 1, 1)


def test_an_overlap_of_exactly_one_half_does_not_match():
    """IoU must be above 0.5: 2 of 4 pixels are a miss and a false alarm."""
    got = score((found_map([[1, 1, 0, 0]], (1, CAR)), true_map([[5, 5, 5, 5]], (5, CAR))))

    assert (got.counts["car"].matched, got.counts["car"].extra, got.counts["car"].missed) == (0, 1, 1)


def test_void_is_left_out_of_the_union():
    """Found on 4 pixels, two of them void: the IoU with the 2 true ones is 1."""
    assert score((found_map([[1, 1, 1, 1]], (1, CAR)), true_map([[5, 5, 0, 0]], (5, CAR)))).things.sq == 1


@pytest.mark.parametrize(("void", "extra"), [(2, 1), (3, 0)])
def test_a_false_alarm_on_void_is_forgiven_past_one_half(void, extra):
    """With half of it on void it counts, with more it does not."""
    truth = true_map([[0] * void + [5] * (4 - void)], (5, ROAD))

    assert score((found_map([[1, 1, 1, 1]], (1, CAR)), truth)).counts["car"].extra == extra


def test_crowds_are_neither_wanted_nor_punished():
    """A found car on a crowd of cars is no false alarm and no match; a dog there is a false alarm; the crowd is not missed."""
    truth = true_map([[5, 5, 5, 5]], (5, CAR, True))

    on_crowd, other = score((found_map([[1, 1, 1, 0]], (1, CAR)), truth)), score((found_map([[1, 1, 1, 0]], (1, DOG)), truth))
    assert not on_crowd.counts["car"].seen
    assert other.counts["dog"].extra == 1


def test_of_two_crowds_of_a_class_the_last_counts():
    """The rule of COCO's evaluation, whose order is that in which the segments are named."""
    ids, found = [[5, 5, 6, 6]], found_map([[1, 1, 0, 0]], (1, CAR))

    assert score((found, true_map(ids, (6, CAR, True), (5, CAR, True)))).counts["car"].extra == 0
    assert score((found, true_map(ids, (5, CAR, True), (6, CAR, True)))).counts["car"].extra == 1


def test_nothing_found_and_nothing_there():
    """A missing result misses all; an empty scene has no score."""
    truth = true_map([[5, 5, 1]], (5, CAR), (1, SKY))

    assert score((None, truth)).overall.pq == 0
    assert score((None, truth)).overall.classes == 2
    assert np.isnan(score((None, true_map([[0, 0]]))).overall.pq)


def test_agrees_with_the_definition_on_random_maps():
    """Counts, means and per-class scores are those of a plain loop over masks, each case by itself and all together."""
    rng = np.random.default_rng(6)
    for _ in range(CASES):
        truth = random_truth(rng, (int(rng.integers(1, 7)), int(rng.integers(1, 9))))
        found = random_found(rng, truth)
        counts, got = window_counts([(found, truth)], by_track=False), score((found, truth))

        for index, label in enumerate(LABELS):
            one = got.counts[label.name]
            assert [one.matched, one.extra, one.missed] == counts.get(index, [0, 0, 0, 0])[1:]
        for quality, classes in ((got.overall, range(4)), (got.things, (CAR, DOG)), (got.stuff, (ROAD, SKY))):
            assert np.allclose([quality.pq, quality.sq, quality.rq], qualities(counts, classes), rtol=1e-12, atol=0, equal_nan=True)


@pytest.mark.skipif(not HAS_ORACLE, reason="COCO's evaluation is not installed: pip install --no-deps panopticapi-lite==0.2.0")
def test_agrees_with_the_evaluation_of_coco(tmp_path):
    """Sums of IoU and counts over random maps are those of panopticapi, which reads them as PNG."""
    evaluation = importlib.import_module("panopticapi.evaluation")
    rng, meter, pairs = np.random.default_rng(7), PqMeter(LABELS), []
    for number in range(CASES):
        truth = random_truth(rng, (6, 8))
        found = random_found(rng, truth) or Panoptic(np.zeros((6, 8), np.int32), ())
        meter.add(found, truth)
        name = f"{number}.png"
        present = [segment for segment in found.segments if segment.area]
        kinds = [{"id": n, "category_id": kind.class_id, "iscrowd": int(kind.is_crowd)} for n, kind in truth.segments.items()]
        for folder, ids in (("truth", truth.ids), ("found", found.ids)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / name), np.stack([ids >> 16, ids >> 8, ids], axis=2).astype(np.uint8))
        pairs.append(
            (
                {
                    "image_id": number,
                    "file_name": name,
                    "segments_info": [kind | {"area": int((truth.ids == kind["id"]).sum())} for kind in kinds],
                },
                {"file_name": name, "segments_info": [{"id": one.id, "category_id": one.class_id} for one in present]},
            )
        )
    categories = dict(enumerate(LABELS))
    wanted = evaluation.pq_compute_single_core(0, pairs, str(tmp_path / "truth"), str(tmp_path / "found"), categories)

    got = meter.compute()
    for index, label in enumerate(LABELS):
        one, other = got.counts[label.name], wanted[index]
        assert (one.matched, one.extra, one.missed) == (other.tp, other.fp, other.fn)
        assert one.iou == pytest.approx(other.iou, rel=1e-12)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (found_map([[1, 1, 1]], (1, CAR)), r"result has \(1, 3\) pixels, the ground truth \(1, 2\)"),
        (found_map([[1, 8]], (1, CAR)), "the found map holds the id 8"),
        (found_map([[1, -1]], (1, CAR)), "the found map holds the id"),
        (found_map([[1, 1]], (1, 4)), "a segment is of class 4, but there are only 4 labels"),
    ],
)
def test_maps_that_do_not_belong_together_are_refused(found, message):
    """Sizes, ids and classes are checked."""
    with pytest.raises(EvaluationError, match=message):
        PqMeter(LABELS).add(found, true_map([[5, 5]], (5, CAR)))


def test_no_frame_is_an_error():
    """There is no score of nothing."""
    with pytest.raises(EvaluationError, match="nothing to score"):
        PqMeter(LABELS).compute()
