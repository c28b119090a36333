"""Video panoptic quality: cases worked by hand, and a plain reference that stacks whole maps, on random clips."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import PqMeter, VpqMeter
from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import Panoptic, Segment
from tests.edgeseg.evaluation.panoptic_reference import LABELS, qualities, random_found, random_truth, vpq_counts

ROAD, CAR = 0, 2
CLIPS = 1_000


def frame(track_id=1, wide=4):
    """A road, and a car on the last ``wide`` of 8 pixels."""
    ids = np.array([[1] * (8 - wide) + [2] * wide], np.int32)
    return Panoptic(ids, (Segment(1, ROAD, False, 1.0, 8 - wide), Segment(2, CAR, True, 0.9, wide, track_id)))


TRUTH = PanopticTruth(np.array([[9, 9, 9, 9, 30, 30, 30, 30]], np.int32), {9: TruthSegment(ROAD), 30: TruthSegment(CAR)})


def score(*clips, **options):
    meter = VpqMeter(LABELS, **options)
    for number, clip in enumerate(clips):
        meter.begin(str(number))
        for found, truth in clip:
            meter.add(found, truth)
    return meter.compute()


def test_perfect_ids_score_one_at_every_length():
    """Six labelled frames, as a video of Cityscapes-VPS has."""
    got = score([(frame(), TRUTH)] * 6)

    assert {k: one.overall.pq for k, one in got.at.items()} == {0: 1, 5: 1, 10: 1, 15: 1}
    assert (got.mean, got.things, got.stuff) == (1, 1, 1)
    assert got.at[15].counts["car"].matched == 3


def test_a_change_of_id_costs_the_windows_that_hold_it():
    """After three of six frames: of five windows of two, the one in the middle has two tubes of IoU 1/2, so no match."""
    got = score([(frame(7), TRUTH)] * 3 + [(frame(8), TRUTH)] * 3, ks=(0, 5))

    assert got.at[0].things.pq == 1
    assert vars(got.at[5].counts["car"]) == {"iou": 4.0, "matched": 4, "extra": 2, "missed": 1}
    assert got.at[5].stuff.pq == 1


def test_things_without_track_id_are_others_in_every_frame():
    """They match in single frames only."""
    got = score([(frame(None), TRUTH)] * 2, ks=(0, 5))

    assert (got.at[0].things.pq, got.at[5].things.pq) == (1, 0)
    assert got.at[5].counts["car"].extra == 2


def test_windows_do_not_reach_over_clips():
    """Two clips of one frame have no window of two; without windows there is no score, so no mean either."""
    got = score([(frame(), TRUTH)], [(frame(), TRUTH)], ks=(0, 5))

    assert got.at[0].counts["car"].matched == 2
    assert np.isnan(got.at[5].overall.pq)
    assert np.isnan(got.mean)


def test_the_first_frame_says_what_a_true_tube_is():
    """A crowd that later is called a car stays a crowd: it is not missed; the other way round it is missed."""
    car = TRUTH
    crowd = PanopticTruth(TRUTH.ids, {9: TruthSegment(ROAD), 30: TruthSegment(CAR, is_crowd=True)})

    assert score([(None, crowd), (None, car)], ks=(5,)).at[5].counts["car"].missed == 0
    assert score([(None, car), (None, crowd)], ks=(5,)).at[5].counts["car"].missed == 1


@pytest.mark.parametrize("spacing", [1, 2])
def test_agrees_with_the_definition_on_random_clips(spacing):
    """Counts and means over random clips are those of a plain loop over stacked masks, clips shorter than a window included."""
    rng = np.random.default_rng(60 + spacing)
    for _ in range(CLIPS // 2):
        hw, named = (int(rng.integers(1, 4)), int(rng.integers(1, 6))), {}
        truths = [random_truth(rng, hw, named) for _ in range(int(rng.integers(1, 5)))]
        clip = [(random_found(rng, truth), truth) for truth in truths]
        got = score(clip, ks=(0, 5, 10), spacing=spacing)
        for k in got.at:
            counts = vpq_counts([clip], k // 5 + 1, spacing)
            for index, label in enumerate(LABELS):
                one = got.at[k].counts[label.name]
                assert [one.matched, one.extra, one.missed] == counts.get(index, [0, 0, 0, 0])[1:]
            quality = got.at[k].overall
            assert np.allclose([quality.pq, quality.sq, quality.rq], qualities(counts, range(4)), rtol=1e-12, atol=0, equal_nan=True)


def test_single_frames_score_as_pictures():
    """VPQ of windows of one frame is PQ where no two regions of a frame are one object."""
    rng, single, video = np.random.default_rng(8), PqMeter(LABELS), VpqMeter(LABELS, ks=(0,))
    video.begin("clip")
    for _ in range(50):
        truth = random_truth(rng, (6, 8))
        ids = np.where(truth.ids > 2, 0, truth.ids).astype(np.int32)
        found = Panoptic(ids, tuple(Segment(n, n - 1, False, 1.0, int((ids == n).sum())) for n in (1, 2)))
        single.add(found, truth)
        video.add(found, truth)

    assert video.compute().at[0] == single.compute()


def test_memory_does_not_grow_with_the_clip():
    """After 300 more frames of 64 kB each the meter holds no more than before."""
    truth = PanopticTruth(np.tile(TRUTH.ids, (8, 256)), TRUTH.segments)
    meter = VpqMeter(LABELS, spacing=5)
    meter.begin("clip")
    found = Panoptic(np.tile(frame().ids, (8, 256)), frame().segments)
    held = []
    tracemalloc.start()
    for _ in range(2):
        for _ in range(150):
            meter.add(found, truth)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()

    assert held[1] - held[0] < 10_000


def test_wrong_use_is_refused():
    """Lengths are multiples of five, a frame belongs to a clip, and there is no score of nothing."""
    with pytest.raises(EvaluationError, match=r"0, 5, 10 ..., got \[0, 3\]"):
        VpqMeter(LABELS, ks=(0, 3))
    with pytest.raises(EvaluationError, match="begin one first"):
        VpqMeter(LABELS).add(frame(), TRUTH)
    with pytest.raises(EvaluationError, match="nothing to score"):
        VpqMeter(LABELS).compute()
