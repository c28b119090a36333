"""Panoptic quality as its definition reads: loops over pairs of boolean masks, a tube at a time. Slow, and shares no code with edgeseg.

And random small maps that have everything the definition speaks of: void, crowds, ids without a segment, empty maps, ties at one half.
"""

from __future__ import annotations

import numpy as np

from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import Label, Panoptic, Segment

LABELS = (Label("road", 7, is_thing=False), Label("sky", 9, is_thing=False), Label("car", 3), Label("dog", 5))


def class_counts(found, truth):
    """Class -> [sum of IoU, TP, FP, FN] of tubes.

    Args:
        found: list of (class, mask bool (T, H, W)), each with pixels.
        truth: list of (class, is_crowd, mask), and at its end the mask of void.
    """
    *truth, void = truth
    counts = {}
    taken_found, taken_truth = set(), set()
    for g, (g_class, crowd, g_mask) in enumerate(truth):
        for p, (p_class, p_mask) in enumerate(found):
            if crowd or p_class != g_class:
                continue
            common = np.count_nonzero(g_mask & p_mask)
            union = np.count_nonzero(g_mask | p_mask) - np.count_nonzero(p_mask & void)
            if union and common / union > 0.5:
                entry = counts.setdefault(g_class, [0.0, 0, 0, 0])
                entry[0] += common / union
                entry[1] += 1
                taken_found.add(p)
                taken_truth.add(g)
    for g, (g_class, crowd, _) in enumerate(truth):
        if g not in taken_truth and not crowd:
            counts.setdefault(g_class, [0.0, 0, 0, 0])[3] += 1
    for p, (p_class, p_mask) in enumerate(found):
        if p in taken_found:
            continue
        ignored = np.count_nonzero(p_mask & void)
        crowds = [mask for g_class, crowd, mask in truth if crowd and g_class == p_class]
        if crowds:
            ignored += np.count_nonzero(p_mask & crowds[-1])
        if ignored / np.count_nonzero(p_mask) <= 0.5:
            counts.setdefault(p_class, [0.0, 0, 0, 0])[2] += 1
    return counts


def window_counts(frames, *, by_track=True):
    """The counts of one window of (Panoptic or None, PanopticTruth) pairs; by id in the map instead of by track for single pictures."""
    found_masks, kinds = {}, {}
    true_ids = np.stack([truth.ids for _, truth in frames])
    for t, (found, truth) in enumerate(frames):
        for number, segment in truth.segments.items():
            kinds.setdefault(number, segment)
        for segment in () if found is None else found.segments:
            if not (found.ids == segment.id).any():
                continue
            name = ("frame", t, segment.id)
            if by_track and (not segment.is_thing or segment.track_id is not None):
                name = segment.track_id if segment.is_thing else "stuff"
            found_masks.setdefault((segment.class_id, name), np.zeros(true_ids.shape, bool))[t] |= found.ids == segment.id
    return class_counts(
        [(class_id, mask) for (class_id, _), mask in found_masks.items()],
        [*((kind.class_id, kind.is_crowd, true_ids == number) for number, kind in kinds.items()), true_ids == 0],
    )


def vpq_counts(clips, length, spacing=1):
    """Class -> counts over all windows of all clips; a clip is a list of pairs."""
    total = {}
    for clip in clips:
        for start in range(len(clip) - (length - 1) * spacing):
            for class_id, entry in window_counts(clip[start : start + (length - 1) * spacing + 1 : spacing]).items():
                total[class_id] = [a + b for a, b in zip(total.get(class_id, [0.0, 0, 0, 0]), entry, strict=True)]
    return total


def qualities(counts, classes):
    """[PQ, SQ, RQ] as means over those of some classes that were seen; NaN where there are none."""
    rows = []
    for class_id in classes:
        iou, tp, fp, fn = counts.get(class_id, [0.0, 0, 0, 0])
        if tp + fp + fn:
            rows.append((iou / (tp + fp / 2 + fn / 2), iou / tp if tp else 0.0, tp / (tp + fp / 2 + fn / 2)))
    return np.mean(rows, axis=0) if rows else np.full(3, np.nan)


def random_truth(rng, hw, named=None):
    """A map of a few blocks: stuff, things and crowds with ids up to 24 bits; some void, and now and then an id without a segment."""
    numbers = np.array([0, 1, 2, 300, 301, 70_000, 1 << 23])
    ids = _blocks(rng, hw, numbers if rng.random() > 0.05 else numbers[:1])
    classes = {1: 0, 2: 1, 300: 2, 301: 2, 70_000: 3, 1 << 23: 2}
    segments = {}
    for number in rng.permutation(numbers[1:]).tolist():
        # In a clip an object is of one kind, but now and then its label contradicts that of the frame before.
        crowd = rng.random() < 0.25
        kind = TruthSegment(classes[number], bool(crowd and classes[number] > 1))
        if named is not None and rng.random() < 0.9:
            kind = named.setdefault(number, kind)
        if (ids == number).any() and rng.random() < 0.95:
            segments[number] = kind
    return PanopticTruth(ids, segments)


def random_found(rng, truth):
    """The true map with some of it changed, under other ids; None now and then."""
    if rng.random() < 0.05:
        return None
    hw = truth.ids.shape
    ids = np.searchsorted([0, 1, 2, 300, 301, 70_000, 1 << 23], truth.ids).astype(np.int32)
    noise = _blocks(rng, hw, np.arange(7))
    ids = np.where(rng.random(hw) < rng.choice([0.0, 0.2, 0.5, 0.9]), noise, ids).astype(np.int32)
    if rng.random() < 0.5:
        ids[:, : hw[1] // 2] = noise[:, : hw[1] // 2]
    classes = [0, 0, 1, 2, 2, 3, 2]
    segments = []
    for number in range(1, 7):
        class_id = classes[number] if rng.random() < 0.9 else int(rng.integers(4))
        track_id = None if rng.random() < 0.15 else int(number if rng.random() < 0.9 else rng.integers(1, 7))
        segments.append(Segment(number, class_id, class_id > 1, 1.0, int((ids == number).sum()), track_id))
    return Panoptic(ids, tuple(segments))


def _blocks(rng, hw, numbers):
    """int32 (H, W): a coarse random map of the numbers, enlarged."""
    cell = int(rng.choice([1, 2, 4]))
    coarse = rng.choice(numbers, (-(-hw[0] // cell), -(-hw[1] // cell)))
    return np.kron(coarse, np.ones((cell, cell), int))[: hw[0], : hw[1]].astype(np.int32)
