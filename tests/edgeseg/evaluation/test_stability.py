"""Flicker and events: cases worked by hand, and a loop over pixels on a synthetic scene."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from edgeseg.errors import EvaluationError
from edgeseg.evaluation import StabilityMeter
from edgeseg.sources.synthetic import LABELS as SCENE_LABELS
from edgeseg.sources.synthetic import Scene, SceneConfig
from edgeseg.types import GroundTruth
from tests.edgeseg.evaluation.made_up import A, B, result, result_of_masks, truth

NARROW = (5, 5, 21, 25)
"""A without its last fifth: IoU 0.8."""


def by(dx, dy):
    """An object's step: a shift in whole pixels."""
    return [[1, 0, dx], [0, 1, dy]]


def moved(box, dx, dy, times=1):
    x1, y1, x2, y2 = box
    return x1 + times * dx, y1 + times * dy, x2 + times * dx, y2 + times * dy


def score(*frames):
    """Stability of (result, truth, steps) triples of one clip."""
    meter = StabilityMeter()
    for found, there, steps in frames:
        meter.add("clip", found, there, np.array(steps, np.float64).reshape(-1, 2, 3))
    return meter.compute()


def moving(masks, dx=3, dy=2):
    """An object A that moves by (dx, dy) a frame, found in these boxes, which move with it."""
    return [
        (result((0, 0.9, moved(box, dx, dy, k))), truth((0, moved(A, dx, dy, k)), ids=[4]), [by(dx, dy)]) for k, box in enumerate(masks)
    ]


@pytest.mark.parametrize("box", [A, (4, 4, 26, 26), (8, 5, 25, 25)], ids=["exact", "always too large", "always too small"])
def test_a_mask_that_moves_with_its_object_is_steady(box):
    """The same mask in every frame, as the object sees it, does not flicker; how good it is does not matter."""
    got = score(*moving([box] * 4))

    assert (got.flicker, got.mask_change, got.true_change, got.events_per_100) == (0, 0, 0, 0)
    assert (got.pairs, got.frames) == (3, 3)


def test_a_mask_that_breathes_flickers():
    """A whole mask and one of 4/5 of it in turns: IoU 0.8 from frame to frame, flicker 0.2."""
    assert score(*moving([A, NARROW, A, NARROW])).flicker == pytest.approx(0.2)


def test_a_mask_that_stays_behind_changes():
    """The object moves 5 pixels, its mask does not: 15 of 25 columns are common to the mask moved and the mask now."""
    still = [(result((0, 0.9, A)), truth((0, moved(A, 5, 0, k)), ids=[4]), [by(5, 0)]) for k in range(2)]

    assert score(*still).flicker == pytest.approx(1 - 15 / 25)


def test_what_is_hidden_or_uncovered_does_not_count():
    """A box slides over a disc. Masks that follow what is seen exactly are steady, though the disc's shrinks; so is its truth."""
    frames = []
    for k in range(3):
        cover = (22 - 3 * k, 5, 50 - 3 * k, 25)
        seen = (5, 5, 22 - 3 * k, 25)
        frames.append((result((0, 0.9, seen), (1, 0.8, cover)), truth((0, seen), (1, cover), ids=[1, 2]), [by(0, 0), by(-3, 0)]))
    got = score(*frames)

    assert (got.flicker, got.mask_change, got.true_change) == (0, 0, 0)
    assert (got.pairs, got.events_per_100) == (4, 0)


def test_what_enters_the_picture_does_not_count():
    """A disc comes in from the left, its mask grows with it: what was outside cannot be compared."""
    frames = [(result((0, 0.9, (0, 5, 10 + 4 * k, 25))), truth((0, (0, 5, 10 + 4 * k, 25)), ids=[1]), [by(4, 0)]) for k in range(3)]
    got = score(*frames)

    assert (got.flicker, got.true_change, got.pairs) == (0, 0, 2)


def test_the_true_masks_own_change_is_taken_off():
    """A true mask that is not rigid, found exactly, shows no flicker; its change is reported."""
    frames = [(result((0, 0.9, box)), truth((0, box), ids=[1]), [by(0, 0)]) for box in (A, NARROW)]
    got = score(*frames)

    assert (got.flicker, got.true_change, got.mask_change) == (0, pytest.approx(0.2), pytest.approx(0.2))


def test_the_best_of_several_results_is_compared():
    """A second, worse result on the same object changes nothing; nor does a better one of another class."""
    frames = [(result((1, 0.95, A), (0, 0.9, NARROW), (0, 0.8, (5, 5, 18, 25))), truth((0, A), ids=[1]), [by(0, 0)])] * 2
    extra = [*frames, (result((0, 0.9, (5, 5, 18, 25)), (0, 0.8, A)), truth((0, A), ids=[1]), [by(0, 0)])]

    assert score(*frames).flicker == 0
    assert score(*extra).flicker == pytest.approx((0 + 0.2) / 2)


@pytest.mark.parametrize(
    ("found", "events"),
    [
        ([True, True, True], 0),
        ([False, False, False], 0),
        ([True, False, True], 2),
        ([True, True, False], 1),
    ],
)
def test_coming_and_going_is_counted(found, events):
    """Each frame in which a visible object is found and was not, or the other way round, is one event."""
    frames = [(result(*[(0, 0.9, A)] * there), truth((0, A), (1, B), ids=[1, 2]), [by(0, 0)] * 2) for there in found]

    assert score(*frames).events_per_100 == 100 * events / 2


def test_objects_that_truly_come_and_go_are_no_events():
    """An object counts where it is there, and not ignored, in both frames; an id that changes is another object."""
    seen = (result((0, 0.9, A)), truth((0, A), ids=[1]), [by(0, 0)])
    gone = (result(), truth(ids=[]), [])
    hidden = (result(), truth((0, A), ignored={0}, ids=[1]), [by(0, 0)])
    other = (result(), truth((0, A), ids=[2]), [by(0, 0)])
    got = score(seen, gone, seen, hidden, seen, other)

    assert (got.events_per_100, got.pairs, got.frames) == (0, 0, 5)
    assert math.isnan(got.flicker)


def test_clips_do_not_follow_one_another():
    """The first frame of a clip is not compared with the last of the one before."""
    meter, nothing = StabilityMeter(), np.array([by(0, 0)], np.float64)
    for clip, box in (("a", A), ("a", A), ("b", NARROW), ("b", NARROW)):
        meter.add(clip, result((0, 0.9, box)), truth((0, A), ids=[1]), nothing)

    assert (meter.compute().flicker, meter.compute().frames) == (0, 2)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (truth((0, A)), "does not say which object is which"),
        (GroundTruth(np.zeros(0, np.int64), (), np.zeros(0, bool), (9, 9), np.zeros(0, np.int64)), "do not belong together"),
    ],
)
def test_what_cannot_be_scored_is_refused(there, message):
    """Truth needs ids, and the size of the result."""
    with pytest.raises(EvaluationError, match=message):
        StabilityMeter().add("clip", result(), there, np.zeros((len(there.masks), 2, 3)))


def test_one_frame_is_not_enough():
    """Stability is about two frames in a row."""
    with pytest.raises(EvaluationError, match="two frames"):
        score((result((0, 0.9, A)), truth((0, A), ids=[1]), [by(0, 0)]))


def scene_frames(count, spoil):
    """Frames of a small scene whose results are the true masks after ``spoil(rng, mask)``."""
    scene, rng = Scene(SceneConfig(seed=7, size_hw=(48, 64), min_objects=4, max_objects=4)), np.random.default_rng(0)
    for index in range(count):
        exact = scene.truth(index)
        there = exact.ground_truth(min_visible_fraction=0.15)
        masks = [spoil(rng, mask) for mask in there.masks]
        yield result_of_masks(there.classes, masks, SCENE_LABELS), there, exact.steps[1:]


def with_holes(rng, mask):
    """The mask without some of its pixels."""
    return mask & (rng.random(mask.shape) < 0.9)


def test_exact_masks_of_a_scene_are_exactly_steady():
    """Where the result is the truth, its change is the truth's own, however objects turn, grow and hide one another."""
    got = score(*scene_frames(6, lambda _rng, mask: mask))

    assert got.flicker == 0
    assert 0 < got.true_change < 0.1
    assert got.pairs >= 10


def test_scene_agrees_with_a_loop_over_pixels():
    """Rotating, growing, overlapping objects with masks full of holes: the numbers of a slow reference."""
    frames = list(scene_frames(4, with_holes))
    got, pairs = score(*frames), [pair for last, now in itertools.pairwise(frames) for pair in slow_changes(last, now)]

    assert got.pairs == len(pairs)
    assert got.mask_change == pytest.approx(np.mean([found for found, _ in pairs]), abs=0.01)
    assert got.true_change == pytest.approx(np.mean([true for _, true in pairs]), abs=0.01)
    assert got.mask_change > 0.15


def slow_changes(last, now):
    (found_before, before, steps), (found_now, after, _) = last, now
    for i, key in enumerate(before.ids):
        if before.ignored[i] or key not in after.ids or after.ignored[j := list(after.ids).index(key)]:
            continue
        masks = found_before.instances.masks.paste(i), before.masks[i]
        masks_now = found_now.instances.masks.paste(j), after.masks[j]
        hides, hides_now = (np.any([m for k, m in enumerate(t.masks) if k != row], axis=0) for t, row in ((before, i), (after, j)))
        to_before = np.linalg.inv(np.vstack([steps[i], [0, 0, 1]]))
        yield tuple(slow_change(a, b, hides, hides_now, to_before) for a, b in zip(masks, masks_now, strict=True))


def slow_change(before, now, hides, hides_now, to_before):
    common = either = 0
    for y, x in np.ndindex(now.shape):
        x_then, y_then, _ = to_before @ (x, y, 1)
        weights = corners(x_then, y_then, now.shape)
        if hides_now[y, x] or sum(w for w, (r, c) in weights if not hides[r, c]) < 1 - 1e-3:
            continue
        earlier = sum(w for w, (r, c) in weights if before[r, c]) > 0.5
        common += earlier and now[y, x]
        either += earlier or now[y, x]
    return 1 - common / either


def corners(x, y, image_hw):
    """The pixels around a point that lie in the picture, with their bilinear weights."""
    column, row = math.floor(x), math.floor(y)
    taps = [((1 - abs(x - c)) * (1 - abs(y - r)), (r, c)) for r in (row, row + 1) for c in (column, column + 1)]
    return [(weight, (r, c)) for weight, (r, c) in taps if 0 <= r < image_hw[0] and 0 <= c < image_hw[1]]
