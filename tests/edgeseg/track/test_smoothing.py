"""Smoothing: what jitters becomes steady, what changes is followed at once, what is missed coasts, and what cannot be smoothed stays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeseg.masks import SoftMask, SoftMasks, grid_mask
from edgeseg.track import Tracker, TrackerSettings
from edgeseg.track.affine import shift
from edgeseg.track.smoothing import COAST_DECAY, SCORE_RESULTS, cell_middles, refined, unclipped
from edgeseg.types import Frame, Instances

HW = (120, 200)


def iou(a, b):
    return np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1)


def soft_box(sides, ramp=6.0):
    """A mask with soft outlines, as networks give them, on cells of 2 x 2 pixels: 0.5 on the sides x1, y1, x2, y2 of a box."""
    rows, columns = HW[0] // 2, HW[1] // 2
    x, y = np.meshgrid(2 * np.arange(columns) + 1.0, 2 * np.arange(rows) + 1.0)
    x1, y1, x2, y2 = sides
    depth = np.minimum(np.minimum(x - x1, x2 - x), np.minimum(y - y1, y2 - y))
    return grid_mask(np.clip(0.5 + depth / ramp, 0, 1).astype(np.float32), (0, 0), (rows, columns), HW)


def test_jitter_becomes_less_and_masks_better(stage, actor, line):
    """Jittering masks of a moving object change less than half as much from frame to frame, and lie closer to the truth."""
    script = stage([actor("red", line(60, 60, 1), size=(50, 40))])
    rng, tracker = np.random.default_rng(8), Tracker(smooth=True)
    raw, smooth, change = [], [], {"raw": [], "smooth": []}
    last = {}

    for index, (frame, exact, _, motion) in enumerate(script.play(40)):
        found = dataclasses.replace(exact, masks=SoftMasks((soft_box(exact.boxes[0] + rng.normal(0, 1.5, 4)),), HW))
        shown = tracker.update(frame, found, motion)
        truth, now = script.owners(index) == 0, {"raw": found.masks.paste(0), "smooth": shown.masks.paste(0)}
        raw.append(iou(now["raw"], truth))
        smooth.append(iou(now["smooth"], truth))
        for kind, mask in last.items():
            change[kind].append(1 - iou(np.roll(mask, 1, axis=1), now[kind]))
        last = now

    assert np.mean(change["smooth"][5:]) < 0.5 * np.mean(change["raw"][5:])
    assert np.mean(smooth[5:]) > np.mean(raw[5:])


@pytest.mark.parametrize("speed", [0.5, 2.0, 5.0])
def test_smoothed_masks_do_not_lag(stage, actor, line, speed):
    """Exact masks of a moving object stay as they are, however fast it moves."""
    script = stage([actor("red", line(40, 60, speed), size=(50, 40))])
    tracker = Tracker(smooth=True)

    for index, (frame, found, _, motion) in enumerate(script.play(20)):
        shown = tracker.update(frame, found, motion)

        assert iou(shown.masks.paste(0), script.owners(index) == 0) > 0.94


def test_change_of_shape_is_followed_at_once(stage, actor, line, make_instances):
    """When half of an object is gone, its mask is the new half in that very frame."""
    script = stage([actor("red", line(80, 60), size=(60, 40))])
    tracker = Tracker(smooth=True)

    for index, (frame, found, _, motion) in enumerate(script.play(12)):
        mask = found.masks.paste(0)
        if index >= 10:
            mask[:, 80:] = False
        shown = tracker.update(frame, make_instances([mask], [0.9]), motion)

    assert iou(shown.masks.paste(0), mask) > 0.95
    assert shown.track_ids[0] == 0


def test_nothing_is_blended_across_a_cut_or_without_motion(stage, actor, line):
    """Where the past is unknown the new masks are shown as they are; elsewhere they are not."""
    script = stage([actor("red", line(60, 60, 1))], black={5})
    rng, tracker = np.random.default_rng(8), Tracker(smooth=True)

    for index, (frame, exact, _, motion) in enumerate(script.play(10)):
        if index == 5:
            tracker.update(frame, exact, motion)
            continue
        found = dataclasses.replace(exact, masks=SoftMasks((soft_box(exact.boxes[0] + rng.normal(0, 1.5, 4)),), HW))
        shown = tracker.update(frame, found, None if index == 8 else motion)

        assert (shown.masks.masks[0] is found.masks.masks[0]) == (index in (0, 6, 8))


@pytest.mark.parametrize("speed", [1, 5])
def test_masks_are_smoothed_along_followed_frames(stage, actor, line, speed):
    """After frames that were only followed the past is taken from the last of them, not from the last update."""
    script = stage([actor("red", line(40, 60, speed), size=(50, 40))])
    tracker = Tracker(smooth=True)

    for index, (frame, found, _, motion) in enumerate(script.play(22)):
        if index % 3:
            tracker.follow(frame, dataclasses.replace(found, track_ids=np.zeros(1, np.int64)), motion)
        else:
            shown = tracker.update(frame, found, motion)

            assert shown.track_ids.tolist() == [0]
            assert iou(shown.masks.paste(0), script.owners(index) == 0) > 0.94


def test_past_counts_less_the_longer_it_was_only_followed(stage, actor, line):
    """What was moved along the flow for many frames hardly changes the new mask."""
    script, moved = stage([actor("red", line(60, 60), size=(50, 40))]), {}

    for followed in (0, 6):
        tracker = Tracker(smooth=True)
        for index, (frame, exact, _, motion) in enumerate(script.play(followed + 2)):
            grown = exact.boxes[0] + np.array([-1, -1, 1, 1]) * (index == followed + 1)
            found = dataclasses.replace(exact, masks=SoftMasks((soft_box(grown),), HW))
            if 0 < index <= followed:
                tracker.follow(frame, dataclasses.replace(found, track_ids=np.zeros(1, np.int64)), motion)
            else:
                shown = tracker.update(frame, found, motion)
        new = unclipped(found.masks.masks[0], HW)
        moved[followed] = float(np.abs(shown.masks.masks[0].values - refined(new, 120 / 144).values).sum())

    assert moved[6] < 0.4 * moved[0]


def test_clipped_mask_gets_room_with_zeros():
    """Outside its window an unclipped mask is zero, and its window is all that its cells cover inside the picture."""
    mask = SoftMask(np.ones((4, 5), np.float32), (-2.0, 10.0, 8.0, 18.0), (0, 12, 6, 16))

    free = unclipped(mask, HW)

    assert free.window == (0, 10, 8, 18)
    assert free.values.astype(int).tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_scores_are_averaged_and_sorted(stage, actor, line):
    """A track's score is the mean so far, then one in which each result has a tenth of the weight; rows are in descending order."""
    script = stage(
        [
            actor("red", line(50, 60), score=lambda i: 0.9 if i % 2 else 0.5),
            actor("blue", line(140, 60), score=0.8),
        ]
    )
    tracker, expected = Tracker(smooth=True), None

    for index, (frame, found, who, motion) in enumerate(script.play(25)):
        shown = tracker.update(frame, found, motion)
        score = found.scores[who.index(0)]
        expected = score if expected is None else expected + (score - expected) / min(index + 1, SCORE_RESULTS)
        row = int(np.flatnonzero(shown.track_ids == 1 if index == 0 else shown.boxes[:, 0] < 100)[0])

        assert shown.scores[row] == pytest.approx(expected, abs=1e-5)
        assert (np.diff(shown.scores) <= 0).all()


def test_missed_object_coasts_for_a_while(stage, actor, line):
    """Where the graph misses an object it is shown on its way for some frames, with a falling score, and then no more."""
    missed = range(10, 20)
    script = stage([actor("red", line(50, 60, 2), size=(40, 40), score=lambda i: 0.0 if i in missed else 0.8)])
    tracker, settings = Tracker(smooth=True), TrackerSettings()

    for index, (frame, found, _, motion) in enumerate(script.play(20)):
        shown = tracker.update(frame, found, motion)

        unseen = index - missed.start + 1
        if 0 < unseen <= settings.coast_frames:
            assert shown.track_ids.tolist() == [0]
            assert shown.scores[0] == pytest.approx(0.8 * COAST_DECAY**unseen, abs=1e-5)
            assert iou(shown.masks.paste(0), script.owners(index) == 0) > 0.85
        elif unseen > 0:
            assert len(shown) == 0


def test_plain_tracking_shows_nothing_that_was_not_found(stage, actor, line):
    """Without smoothing no row is added."""
    script = stage([actor("red", line(50, 60, 2), score=lambda i: 0.0 if i >= 5 else 0.8)])
    tracker = Tracker()

    assert [len(tracker.update(frame, found, motion)) for frame, found, _, motion in script.play(8)] == [1] * 5 + [0] * 3


def test_hidden_object_does_not_coast(stage, actor, line):
    """An object that went behind another is not shown in front of it."""
    script = stage([actor("red", line(40, 60, 4)), actor("green", line(110, 60), class_id=1, size=(50, 80))])
    tracker, hidden = Tracker(smooth=True), 0

    for index, (frame, found, who, motion) in enumerate(script.play(25)):
        shown = tracker.update(frame, found, motion)

        if not (script.owners(index) == 0).any():
            hidden += 1
            assert who == [1]
            assert len(shown) == 1
    assert hidden > 3


def test_what_a_larger_object_covers_does_not_coast(make_instances, stage):
    """Where something else is found over most of a missed object, it is not shown, whatever the picture looks like."""
    small, large = np.zeros(HW, bool), np.zeros(HW, bool)
    small[40:80, 60:100] = True
    large[20:100, 55:150] = True
    tracker = Tracker(smooth=True)

    for frame, _, _, motion in stage([]).play(5):
        tracker.update(frame, make_instances([small], [0.9], [0]), motion)
    shown = tracker.update(frame, make_instances([large], [0.8], [1]), motion)

    assert shown.classes.tolist() == [1]


def test_past_is_aligned_from_the_last_frame(stage, actor, line, monkeypatch):
    """How objects moved is measured from where they were in the last frame, followed or not."""
    seen = []
    monkeypatch.setattr("edgeseg.track.tracker.aligned", lambda found, _: seen.append(found) or {})
    tracker = Tracker(smooth=True)

    for index, (frame, found, _, motion) in enumerate(stage([actor("red", line(40, 60, 5))]).play(5)):
        if index in (0, 4):
            tracker.update(frame, found, motion)
        else:
            last = tracker.follow(frame, dataclasses.replace(found, track_ids=np.zeros(1, np.int64)), motion)

    assert seen == [last]


def test_what_was_found_once_does_not_coast(stage, actor, line):
    """A single detection may be an error: it is not drawn out."""
    script = stage([actor("red", line(50, 60), score=lambda i: 0.9 if i == 2 else 0.0)])
    tracker = Tracker(smooth=True)

    assert [len(tracker.update(frame, found, motion)) for frame, found, _, motion in script.play(6)] == [0, 0, 1, 0, 0, 0]


def test_class_flip_is_bridged(stage, actor, line):
    """While an object is taken for another class, it is also shown as what it was before."""
    script = stage([actor("red", line(50, 60, 1), size=(40, 40), seen_as=lambda i: int(i == 8))])
    tracker = Tracker(smooth=True)

    for frame, found, _, motion in script.play(9):
        shown = tracker.update(frame, found, motion)

    assert sorted(zip(shown.classes.tolist(), shown.track_ids.tolist(), strict=True)) == [(0, 0), (1, -1)]


def test_mask_scores_follow_scores(stage, actor, line):
    """Scores of masks are averaged like scores, and a coasting track's keep their ratio to its score."""
    script = stage([actor("red", line(50, 60), score=lambda i: 0.0 if i == 5 else 0.8)])
    tracker = Tracker(smooth=True)

    for frame, found, _, motion in script.play(6):
        shown = tracker.update(frame, dataclasses.replace(found, mask_scores=found.scores * np.float32(0.5)), motion)

        assert shown.mask_scores == pytest.approx(shown.scores * 0.5)
    assert len(shown) == 1


class HardMasks:
    """Masks that are no `SoftMasks`."""

    def __init__(self, soft):
        self.soft, self.image_hw = soft, soft.image_hw

    def __len__(self):
        return len(self.soft)

    def select(self, index):
        return HardMasks(self.soft.select(index))

    def crop(self, i):
        return self.soft.crop(i)

    def paste(self, i):
        return self.soft.paste(i)

    def rle(self, i):
        return self.soft.rle(i)

    def at(self, i, x, y):
        return self.soft.at(i, x, y)


@pytest.mark.parametrize("smooth", [False, True])
def test_other_kinds_of_masks_are_tracked_and_left_as_they_are(stage, actor, line, smooth):
    """Masks of any kind get ids; only soft ones are smoothed."""
    script = stage([actor("red", line(50, 60, 2), score=lambda i: 0.0 if i == 8 else 0.9)])
    tracker = Tracker(smooth=smooth)

    for index, (frame, found, _, motion) in enumerate(script.play(12)):
        masks = HardMasks(found.masks)
        shown = tracker.update(frame, dataclasses.replace(found, masks=masks), motion)

        assert isinstance(shown.masks, HardMasks)
        assert shown.track_ids.tolist() == ([] if index == 8 else [0])


@pytest.mark.parametrize("cell_px", [0.7, 2.0, 3.0, 50.0])
def test_refined_mask_is_the_same_mask(cell_px):
    """On finer cells a mask has the values it had, and nearly the pixels."""
    rng = np.random.default_rng(9)
    values = np.clip(rng.normal(0.5, 0.5, (7, 9)), 0, 1).astype(np.float32)
    mask = grid_mask(values, (3, 2), (20, 25), HW)

    fine = refined(mask, cell_px)

    x, y = cell_middles(fine)
    x, y = np.broadcast_arrays(x, y)
    inside = (x > mask.window[0]) & (x < mask.window[2]) & (y > mask.window[1]) & (y < mask.window[3])
    np.testing.assert_allclose(fine.values[inside], mask.at(np.ascontiguousarray(x), np.ascontiguousarray(y))[inside], atol=0.05)
    assert (fine.rectangle, fine.window) == (mask.rectangle, mask.window)
    assert iou(SoftMasks((fine,), HW).paste(0), SoftMasks((mask,), HW).paste(0)) > 0.97
    assert max(fine.values.shape) <= 128


def test_refining_a_huge_grid_does_not_make_it_larger():
    """A mask that has many cells already keeps them."""
    mask = SoftMask(np.zeros((200, 300), np.float32), (0.0, 0.0, 900.0, 600.0), (0, 0, 900, 600))

    assert refined(mask, 1.0) is mask


def test_empty_masks_can_be_smoothed():
    """An instance without any pixel stays one."""
    empty = SoftMasks((grid_mask(np.zeros((0, 0), np.float32), (0, 0), (4, 4), HW),), HW)
    found = Instances(
        np.array([[50, 50, 80, 80]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64), empty, np.full(1, -1), HW
    )
    tracker, frame = Tracker(smooth=True), Frame(np.zeros((*HW, 3), np.uint8))

    for _ in range(3):
        assert not tracker.update(frame, found, None).masks.paste(0).any()


def test_shift_is_the_way_back():
    """The step of something that moved right and down leads left and up."""
    step = shift(np.array([3, 2], np.float32))

    assert (step @ np.array([10, 10, 1])).tolist() == [7, 8]
