"""Ids in scripted situations: which actor has which id, frame by frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeseg.errors import MissingDependencyError, UsageError
from edgeseg.motion import MotionEstimator, Trail, propagate
from edgeseg.track import Tracker, TrackerSettings
from edgeseg.track.tracker import MEMORY_MAX
from edgeseg.types import Frame


def history(stage, count, tracker=None, *, motion=True):
    """Actor -> its id in each frame, None where it was not found."""
    tracker = tracker or Tracker()
    ids = {number: [None] * count for number in range(len(stage.actors))}
    for index, (frame, found, who, moved) in enumerate(stage.play(count)):
        tracked = tracker.update(frame, found, moved if motion else None)
        for row, number in enumerate(who):
            ids[number][index] = int(tracked.track_ids[row])
    return ids


def kept(ids):
    """The one id that was given, if there was only one."""
    given = {one for one in ids if one is not None}
    assert len(given) == 1, ids
    return given.pop()


WITH_AND_WITHOUT_MOTION = pytest.mark.parametrize("motion", [True, False], ids=["flow", "no flow"])


@WITH_AND_WITHOUT_MOTION
def test_objects_that_cross_keep_their_ids(stage, actor, line, motion):
    """Two objects of one class that pass through each other's way keep their ids."""
    script = stage([actor("red", line(30, 52, 3)), actor("blue", line(170, 68, -3))])

    ids = history(script, 45, motion=motion)

    assert kept(ids[0]) != kept(ids[1])


@WITH_AND_WITHOUT_MOTION
def test_id_survives_occlusion(stage, actor, line, motion):
    """An object that goes behind another and comes out on the other side is the same object."""
    script = stage([actor("red", line(30, 60, 3)), actor("green", line(100, 60), class_id=1, size=(44, 80))])

    ids = history(script, 45, motion=motion)

    assert None in ids[0]
    assert kept(ids[0]) != kept(ids[1])


@WITH_AND_WITHOUT_MOTION
@pytest.mark.parametrize("gap", [1, 3, 8, 20])
def test_id_survives_missed_detections(stage, actor, line, gap, motion):
    """An object that the model misses for some frames keeps its id."""
    script = stage([actor("red", line(40, 60, 2), score=lambda i: 0.0 if 10 <= i < 10 + gap else 0.9)])

    kept(history(script, 40, motion=motion)[0])


@WITH_AND_WITHOUT_MOTION
def test_fast_objects_keep_their_ids(stage, actor, line, motion):
    """Objects that move half their width in each frame are followed from the first frame on, past another of their looks."""
    script = stage([actor("red", line(20, 40, 14)), actor("red", line(180, 66, -14))])

    ids = history(script, 12, motion=motion)

    assert kept(ids[0]) != kept(ids[1])


def test_object_that_enters_is_a_new_one(stage, actor, line):
    """One object leaves on the right, another of the same class comes in on the left: two ids."""
    script = stage([actor("red", line(150, 40, 4)), actor("blue", line(-50, 80, 4))])

    ids = history(script, 40)

    assert ids[0][-1] is None
    assert kept(ids[0]) != kept(ids[1])


def test_identical_objects_do_not_swap(stage, actor, line):
    """Two objects of the same looks that move side by side keep their ids, in whatever order they are found."""
    script = stage(
        [
            actor("red", line(40, 40, 2), score=lambda i: 0.9 - 0.1 * (i % 2)),
            actor("red", line(40, 85, 2), score=lambda i: 0.8 + 0.1 * (i % 2)),
        ]
    )

    ids = history(script, 40)

    assert kept(ids[0]) != kept(ids[1])


def test_class_flip_does_not_cost_the_id(stage, actor, line):
    """An object that is taken for another class now and then has no id there, and its own again afterwards."""
    flips = (10, 11, 20)
    script = stage([actor("red", line(40, 60, 2), seen_as=lambda i: int(i in flips))])

    ids = history(script, 30)[0]

    assert [ids[i] for i in flips] == [-1] * len(flips)
    assert kept([one for i, one in enumerate(ids) if i not in flips]) >= 0


def test_lasting_change_of_class_is_another_track(stage, actor, line):
    """What is another class for good gets an id of its own: ids are for one class."""
    script = stage([actor("red", line(40, 60, 2), seen_as=lambda i: int(i >= 10))])

    ids = history(script, 30)[0]

    assert kept(ids[:10]) != kept(ids[20:])


def test_black_frames_do_not_cost_ids(stage, actor, line):
    """After some black frames what was there has its ids again."""
    script = stage([actor("red", line(50, 60, 0.5)), actor("blue", line(140, 60))], black={10, 11, 12})

    ids = history(script, 25)

    assert kept(ids[0]) != kept(ids[1])


def test_another_scene_has_other_ids(stage, actor, line):
    """After a cut an object of the same class in the same place, but of other colours, is a new one."""
    scenes = [stage([actor("red", line(60, 60))]), stage([actor("blue", line(60, 60))], seed=2)]
    estimator, tracker, ids = MotionEstimator(), Tracker(), []

    for index in range(12):
        frame, (found, _) = scenes[index // 6].frame(index), scenes[index // 6].found(index)
        ids.append(int(tracker.update(frame, found, estimator.update(frame)).track_ids[0]))

    assert kept(ids[:6]) != kept(ids[6:])


def test_repeated_frames_keep_ids(stage, actor, line):
    """A picture that stands still for a while changes nothing."""
    script = stage([actor("red", lambda i: (50 + min(i, 10), 60)), actor("blue", line(140, 60))])

    ids = history(script, 30)

    assert kept(ids[0]) != kept(ids[1])


def test_tracks_are_forgotten_after_their_time(stage, actor, line):
    """What comes back later than the memory reaches is a new object."""
    script = stage([actor("red", line(60, 60), score=lambda i: 0.0 if 10 <= i < 20 else 0.9)])

    ids = history(script, 30, Tracker(TrackerSettings(max_age_frames=8)))[0]

    assert kept(ids[:10]) != kept(ids[20:])


def test_weak_instance_goes_on_but_does_not_begin(stage, actor, line):
    """A weak instance begins no track, but goes on with one that it fits."""
    score = TrackerSettings().start_score
    script = stage(
        [
            actor("red", line(50, 60, 1), score=lambda i: 0.9 if i < 10 else score - 0.2),
            actor("blue", line(140, 60), score=score - 0.01),
        ]
    )

    ids = history(script, 20)

    assert kept(ids[0]) >= 0
    assert kept(ids[1]) == -1


def test_second_opinion_on_an_object_has_no_id(make_instances):
    """Of two instances on the same pixels one has an id, the other none, whatever their classes."""
    mask = np.zeros((120, 200), bool)
    mask[30:70, 50:100] = True
    frame = Frame(np.full((120, 200, 3), 90, np.uint8))
    tracker = Tracker()

    for classes in ([0, 0], [0, 1]):
        tracker.reset()
        ids = tracker.update(frame, make_instances([mask, mask], [0.9, 0.8], classes), None).track_ids

        assert ids[0] >= 0
        assert ids[1] == -1


def test_rows_come_back_as_they_were(stage, actor, line):
    """Without smoothing only the ids change."""
    script = stage([actor("red", line(50, 40, 2)), actor("blue", line(140, 80), score=0.2)])
    tracker = Tracker()

    for frame, found, _, motion in script.play(5):
        tracked = tracker.update(frame, found, motion)

        assert dataclasses.replace(tracked, track_ids=found.track_ids) == found


def test_nothing_found_and_nothing_tracked(make_instances):
    """Empty frames are fine at any time."""
    tracker = Tracker(smooth=True)
    frame = Frame(np.zeros((120, 200, 3), np.uint8))

    for _ in range(3):
        assert len(tracker.update(frame, make_instances([], []), None)) == 0
        assert len(tracker.follow(frame, make_instances([], []), None)) == 0


def test_reset_forgets_but_never_reuses(stage, actor, line):
    """After a reset the same object is a new one, with an id that was never given before; the picture may have another size."""
    tracker = Tracker()
    before = kept(history(stage([actor("red", line(60, 60))]), 3, tracker)[0])

    tracker.reset()

    after = kept(history(stage([actor("red", line(60, 60))]), 3, tracker)[0])
    assert after > before


@pytest.mark.parametrize("interval", [2, 5, 8])
@pytest.mark.parametrize("smooth", [False, True], ids=["plain", "smooth"])
def test_ids_go_through_propagated_frames(stage, actor, line, interval, smooth):
    """With a graph run now and then and propagation between, objects that cross keep their ids."""
    script = stage([actor("red", line(30, 50, 2)), actor("blue", line(170, 70, -2)), actor("green", line(100, 100), class_id=1)])
    tracker, ids, base, trail = Tracker(smooth=smooth), {}, None, Trail()

    for index, (frame, found, _, motion) in enumerate(script.play(41)):
        if motion is not None:
            trail.add(motion)
        if index % interval == 0:
            base, trail = tracker.update(frame, found, motion), Trail()
            shown = base
        else:
            shown = tracker.follow(frame, propagate(base, trail), motion)
        owners = script.owners(index)
        for row, track_id in enumerate(shown.track_ids.tolist()):
            hit = owners[shown.masks.paste(row)]
            ids.setdefault(int(np.bincount(hit[hit >= 0]).argmax()), set()).add(track_id)

    assert all(len(given) == 1 for given in ids.values()), ids
    assert len(set.union(*ids.values())) == 3


def test_follow_hides_what_was_not_propagated(stage, actor, line, make_instances):
    """An object that propagation lost has its id again when a graph finds it."""
    script = stage([actor("red", line(60, 60, 1))])
    tracker, ids = Tracker(), []

    for index, (frame, found, _, motion) in enumerate(script.play(12)):
        if index % 4 == 0:
            ids.append(int(tracker.update(frame, found, motion).track_ids[0]))
        else:
            tracker.follow(frame, make_instances([], []), motion)

    assert len(set(ids)) == 1


def random_rows(rng, make_instances):
    count = int(rng.integers(0, 7))
    masks = []
    for _ in range(count):
        x, y, w, h = rng.integers(0, 150), rng.integers(0, 90), rng.integers(4, 50), rng.integers(4, 30)
        mask = np.zeros((120, 200), bool)
        mask[y : y + h, x : x + w] = True
        masks.append(mask)
    return make_instances(masks, np.sort(rng.uniform(0.05, 1, count))[::-1], rng.integers(0, 2, count))


@pytest.mark.parametrize("smooth", [False, True], ids=["plain", "smooth"])
def test_ids_are_unique_and_new_ones_grow(stage, make_instances, smooth):
    """In 500 random frames, with resets and followed frames, no frame has an id twice and every new id is larger than all before."""
    rng = np.random.default_rng(5)
    tracker, largest, alive = Tracker(smooth=smooth), -1, set()
    script = stage([])
    frames = [script.frame(0), Frame(rng.integers(0, 256, (120, 200, 3), np.uint8))]

    for index in range(500):
        if index % 120 == 119:
            tracker.reset()
            alive = set()
        shown = tracker.update(frames[index % 2], random_rows(rng, make_instances), None)
        if index % 5 == 0:
            shown = tracker.follow(frames[0], shown.select(shown.scores > 0.4), None)
        ids = [one for one in shown.track_ids.tolist() if one >= 0]
        fresh = set(ids) - alive

        assert len(set(ids)) == len(ids)
        assert all(one > largest for one in fresh)
        alive |= fresh
        largest = max([largest, *ids])


def test_memory_is_bounded(make_instances):
    """However much comes and goes, a limited number of tracks is kept."""
    rng = np.random.default_rng(6)
    tracker = Tracker(TrackerSettings(max_age_frames=10_000, start_score=0.0))
    frame = Frame(np.zeros((120, 200, 3), np.uint8))

    for _ in range(150):
        rows = random_rows(rng, make_instances)
        tracker.update(frame, dataclasses.replace(rows, classes=rng.integers(0, 50, len(rows))), None)

    assert len(tracker._tracks) <= MEMORY_MAX


@pytest.mark.parametrize(
    "wrong",
    [{"start_score": 1.5}, {"strong_score": -0.1}, {"min_overlap": 2}, {"min_likeness": -1}, {"max_age_frames": -1}, {"coast_frames": -1}],
)
def test_settings_that_cannot_work_are_refused(wrong):
    """A setting out of its range is a usage error that names it."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrackerSettings(**wrong)


def test_missing_scipy_is_known_at_once(monkeypatch):
    """A tracker without SciPy is refused when it is made, not in the middle of a stream."""

    def refuse():
        raise MissingDependencyError.for_extra("scipy", "cpu")

    monkeypatch.setattr("edgeseg.track.tracker.load_solver", refuse)

    with pytest.raises(MissingDependencyError):
        Tracker()
