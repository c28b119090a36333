"""HOTA, IDF1 and id switches: cases worked by hand, slow references of our own, and TrackEval on input made by plain loops."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from trackeval.metrics import CLEAR, HOTA, Identity

from edgeseg.errors import EvaluationError, MissingDependencyError
from edgeseg.evaluation import IdentityMeter
from edgeseg.types import GroundTruth
from tests.edgeseg.evaluation.made_up import LABELS, A, B, filled, result, truth

ALPHAS = np.arange(1, 20) * 0.05


def score(*frames, clip="clip"):
    """Identity of the (result, truth) pairs of one clip."""
    meter = IdentityMeter(LABELS)
    for found, there in frames:
        meter.add(clip, found, there)
    return meter.compute()


def one_object(*track_ids):
    """An object that stays where it is, found exactly under these ids, frame by frame."""
    return [(result((0, 0.9, A), ids=[number]), truth((0, A), ids=[7])) for number in track_ids]


def test_perfect_ids_score_one():
    """Two objects of two classes, found exactly, each under one id."""
    pair = result((0, 0.9, A), (1, 0.8, B), ids=[4, 2]), truth((1, B), (0, A), ids=[1, 9])
    got = score(pair, pair, pair)

    assert (got.hota, got.det_a, got.ass_a, got.idf1) == pytest.approx((1, 1, 1, 1))
    assert (got.switches, got.objects, got.instances) == (0, 2, 6)


def test_an_id_that_changes_halfway():
    """Each detection shares its id with 2 of the object's 4: association 1/2, HOTA its root; one of the two ids counts for IDF1."""
    got = score(*one_object(5, 5, 6, 6))

    assert (got.hota, got.det_a, got.ass_a, got.idf1) == pytest.approx((0.5**0.5, 1, 0.5, 0.5))
    assert got.switches == 1


def test_results_without_ids_are_objects_of_one_frame():
    """Found perfectly but never followed: association 1/4 over four frames, one of four detections counts for IDF1."""
    got = score(*one_object(-1, -1, -1, -1))

    assert (got.hota, got.det_a, got.ass_a, got.idf1) == pytest.approx((0.5, 1, 0.25, 0.25))
    assert got.switches == 3


def test_masks_count_up_to_the_threshold_they_reach():
    """A mask IoU of 0.625 counts at 12 of the 19 thresholds 0.05, 0.10 ... 0.95; IDF1 asks for 0.5 only."""
    got = score((result((0, 0.9, (5, 5, 25, 15)), ids=[3]), truth((0, (5, 5, 25, 21)), ids=[7])))

    assert (got.hota, got.idf1) == pytest.approx((12 / 19, 1))


def test_another_class_is_a_miss_and_a_false_alarm():
    """The right mask under the wrong class counts for nothing."""
    got = score((result((1, 0.9, A), ids=[1]), truth((0, A), ids=[1])))

    assert (got.hota, got.det_a, got.idf1) == (0, 0, 0)


def test_clips_do_not_mix():
    """The same numbers in another clip are other objects; clips may take turns."""
    meter = IdentityMeter(LABELS)
    for _ in range(3):
        meter.add("first", result((0, 0.9, A), ids=[1]), truth((0, A), ids=[1]))
        meter.add("second", result((0, 0.9, A), ids=[2]), truth((0, A), ids=[1]))
    got = meter.compute()

    assert (got.hota, got.switches, got.objects) == (pytest.approx(1), 0, 2)


def test_ignored_objects_and_what_lies_on_them_are_left_out():
    """A result of which more than half lies on an ignored object of its class is not judged; of another class, or at half, it is."""
    alone = one_object(1, 1)
    seen = truth((0, A), (0, B), ignored={1}, ids=[7, 8])

    def with_extra(label, box):
        return score(*[(result((0, 0.9, A), (label, 0.8, box), ids=[1, 2]), seen)] * 2)

    assert with_extra(0, (40, 10, 50, 15)) == score(*alone)
    assert with_extra(0, (26, 10, 56, 40)) == score(*alone)
    assert with_extra(0, (25, 10, 55, 40)).det_a == pytest.approx(0.5)
    assert with_extra(1, (40, 10, 50, 15)).det_a == pytest.approx(0.5)


def test_an_object_may_be_ignored_for_a_while():
    """Frames in which it is ignored are as if it were not there: the id that it gets afterwards is compared with the one before."""
    hidden = (result(ids=[]), truth((0, A), ignored={0}, ids=[7]))
    first, last = one_object(1), one_object(2)

    assert score(*first, hidden, *last) == score(*first, *last)
    assert score(*first, hidden, *last).switches == 1


def test_nothing_to_follow_is_nan():
    """Frames without true objects have no score, whatever was found."""
    got = score((result((0, 0.9, A)), truth(ids=[])))

    assert np.isnan([got.hota, got.det_a, got.ass_a, got.idf1]).all()
    assert got.objects == 0


def test_nothing_found_is_zero():
    """A result without instances, or none at all, misses everything."""
    assert score((result(), truth((0, A), ids=[1]))).hota == 0


@pytest.mark.parametrize(
    ("found", "there", "message"),
    [
        (result((0, 0.9, A)), truth((0, A)), "does not say which object is which"),
        (result((0, 0.9, A), (1, 0.8, B), ids=[3, 3], frame=12), truth(ids=[]), "frame 12: several result instances have the id 3"),
        (result((0, 0.9, A)), truth((0, A), (1, B), ids=[5, 5]), "several true instances have the id 5"),
        (result((0, 0.9, A)), GroundTruth(np.zeros(0, np.int64), (), np.zeros(0, bool), (9, 9), np.zeros(0, np.int64)), "belong together"),
    ],
    ids=["no ids", "id twice", "true id twice", "sizes"],
)
def test_what_cannot_be_scored_is_refused(found, there, message):
    """The message says what is wrong with the frame."""
    with pytest.raises(EvaluationError, match=message):
        score((found, there))


def test_nothing_added_is_an_error():
    """An empty meter has no score."""
    with pytest.raises(EvaluationError, match="no frame"):
        IdentityMeter(LABELS).compute()


def test_without_trackeval_the_error_names_the_extra(monkeypatch):
    """The meter says at once what to install."""
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)

    with pytest.raises(MissingDependencyError, match=r"trackeval.*edgeseg\[eval\]"):
        IdentityMeter(LABELS)


def random_clip(seed, frames=8):
    """Random objects of two classes that come and go, and results that lose, mix up and invent some of them.

    Returns per frame lists of (class, id, box) for truth and result.
    """
    rng = np.random.default_rng(seed)
    there, found = [], []
    for _ in range(frames):
        objects = [(int(k % 2), int(10 + 3 * k), box_in_cell(rng, k)) for k in range(4) if rng.random() < 0.8]
        kept = [(label, number + int(rng.integers(0, 2)), jittered(rng, box)) for label, number, box in objects if rng.random() < 0.8]
        invented = [(1, 90, box_in_cell(rng, 5))] if rng.random() < 0.3 else []
        there.append(objects)
        found.append(kept + invented)
    return there, found


def box_in_cell(rng, k):
    """A random box in the k-th of six cells of 26 x 30 pixels, so that true masks never overlap."""
    x, y = 26 * (k % 3), 30 * (k // 3)
    width, height = rng.integers(10, 24, 2)
    return x, y, x + int(width), y + int(height)


def jittered(rng, box):
    x1, y1, x2, y2 = box
    dx, dy = (int(v) for v in rng.integers(0, 5, 2))
    return x1 + dx, y1 + dy, x2 + int(rng.integers(0, 3)), y2 + dy


def measured(clips):
    """Our scores of clips given as lists of (class, id, box)."""
    meter = IdentityMeter(LABELS)
    for name, (there, found) in clips.items():
        for objects, kept in zip(there, found, strict=True):
            meter.add(
                name,
                result(*[(label, 0.5, box) for label, _, box in kept], ids=[number for _, number, _ in kept]),
                truth(*[(label, box) for label, _, box in objects], ids=[number for _, number, _ in objects]),
            )
    return meter.compute()


def iou(a, b):
    first, second = filled(a), filled(b)
    return (first & second).sum() / (first | second).sum()


def similarities(there, found, label):
    """Per frame: true ids, result ids and {(true id, result id): mask IoU} of one class."""
    frames = []
    for objects, kept in zip(there, found, strict=True):
        mine, theirs = [o for o in objects if o[0] == label], [k for k in kept if k[0] == label]
        frames.append(([o[1] for o in mine], [k[1] for k in theirs], {(o[1], k[1]): iou(o[2], k[2]) for o in mine for k in theirs}))
    return frames


def trackeval_input(frames):
    """What TrackEval's metrics take, made frame by frame, those with nothing in them included."""
    true_ids = sorted({number for true, _, _ in frames for number in true})
    found_ids = sorted({number for _, found, _ in frames for number in found})
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(found_ids),
        "num_gt_dets": sum(len(true) for true, _, _ in frames),
        "num_tracker_dets": sum(len(found) for _, found, _ in frames),
        "gt_ids": [np.array([true_ids.index(n) for n in true], int) for true, _, _ in frames],
        "tracker_ids": [np.array([found_ids.index(n) for n in found], int) for _, found, _ in frames],
        "similarity_scores": [
            np.array([[table[t, f] for f in found] for t in true], float).reshape(len(true), len(found)) for true, found, table in frames
        ],
    }


def by_trackeval(metric, clips):
    """Classes over all clips, then all classes: what TrackEval reports as detection-averaged over classes."""
    classes = {}
    for label in range(len(LABELS)):
        clip_scores = {n: metric.eval_sequence(trackeval_input(similarities(*clip, label))) for n, clip in clips.items()}
        classes[label] = metric.combine_sequences(clip_scores)
    return metric.combine_classes_det_averaged(classes)


@pytest.mark.parametrize("seed", range(4))
def test_conversion_gives_trackeval_what_it_should_get(seed):
    """On random clips our scores are those of TrackEval on input made from the boxes directly, combined as TrackEval combines."""
    clips = {f"clip {k}": random_clip(10 * seed + k) for k in range(3)}
    got = measured(clips)
    hota, identity = by_trackeval(HOTA(), clips), by_trackeval(Identity({"PRINT_CONFIG": False}), clips)
    clear = by_trackeval(CLEAR({"PRINT_CONFIG": False}), clips)

    assert (got.hota, got.det_a, got.ass_a) == pytest.approx(tuple(np.mean(hota[name]) for name in ("HOTA", "DetA", "AssA")))
    assert 0.1 < got.ass_a < 0.95
    assert got.idf1 == pytest.approx(identity["IDF1"])
    assert got.switches == clear["IDSW"] > 0


def best_pairing(true, found, weight):
    """The one-to-one pairs of largest total weight, by trying all."""
    short, long = (true, found) if len(true) <= len(found) else (found, true)
    tries = (list(zip(short, chosen, strict=True)) for chosen in itertools.permutations(long, len(short)))
    pairs = ([(a, b) if short is true else (b, a) for a, b in one] for one in tries)
    return max(pairs, key=lambda one: sum(weight.get(pair, 0) for pair in one))


def slow_hota(frames):
    """HOTA of one sequence from the paper's definitions, with every pairing tried."""
    true_count, found_count, potential = {}, {}, {}
    for true, found, table in frames:
        for counts, numbers in ((true_count, true), (found_count, found)):
            for number in numbers:
                counts[number] = counts.get(number, 0) + 1
        for (t, f), value in table.items():
            if value:
                others = sum(table[t, k] for k in found) + sum(table[k, f] for k in true) - value
                potential[t, f] = potential.get((t, f), 0) + value / others
    alignment = {(t, f): v / (true_count[t] + found_count[f] - v) for (t, f), v in potential.items()}
    pairings = []
    for true, found, table in frames:
        weight = {pair: alignment.get(pair, 0) * value for pair, value in table.items()}
        pairings.append([(pair, table[pair]) for pair in best_pairing(true, found, weight)])
    return float(np.mean([hota_at(alpha, pairings, true_count, found_count) for alpha in ALPHAS]))


def hota_at(alpha, pairings, true_count, found_count):
    matched = [pair for pairing in pairings for pair, value in pairing if value >= alpha - 1e-12]
    association = sum(matched.count(p) / (true_count[p[0]] + found_count[p[1]] - matched.count(p)) for p in matched)
    # HOTA^2 = DetA * AssA, and the number of matches cancels.
    return (association / (sum(true_count.values()) + sum(found_count.values()) - len(matched))) ** 0.5


def slow_idf1(frames):
    """IDF1 of one sequence, with every assignment of ids to ids tried."""
    true_ids = sorted({number for true, _, _ in frames for number in true})
    found_ids = sorted({number for _, found, _ in frames for number in found})
    together = {(t, f): sum(table.get((t, f), 0) >= 0.5 for *_, table in frames) for t in true_ids for f in found_ids}
    hits = sum(together.get(pair, 0) for pair in best_pairing(true_ids, found_ids, together))
    return 2 * hits / sum(len(true) + len(found) for true, found, _ in frames)


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_their_definitions(seed):
    """On one class of a random clip HOTA and IDF1 are what slow references give that try every pairing."""
    there, found = random_clip(100 + seed)
    only = ([[o for o in objects if o[0] == 0] for objects in there], [[k for k in kept if k[0] == 0] for kept in found])
    got, frames = measured({"clip": only}), similarities(*only, 0)

    assert got.hota == pytest.approx(slow_hota(frames))
    assert got.idf1 == pytest.approx(slow_idf1(frames))
