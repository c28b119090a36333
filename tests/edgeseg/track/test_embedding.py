"""Ids by embeddings, against a plain loop that follows the description of the original word by word."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgeseg.candidates import Candidates
from edgeseg.track import embedding
from edgeseg.track.embedding import LOST, MAX_AGE_UPDATES, NEW, Detections, EmbeddingTracker, assign, compare, pixel_iou

STEPS = 12
SEQUENCES = 110


class Reference:
    """Lists and loops, one number at a time."""

    def __init__(self, *, faithful):
        self.faithful = faithful
        self.objects = []
        self.next_id = 0
        self.seen = {"new": 0, "lost": 0, "beaten": 0, "bad": 0, "other label": 0, "again": 0}

    def update(self, embeddings, boxes, scores, classes):
        if not scores and self.faithful:
            self.update([[0.0] * 3], [[0.0] * 4], [1.0], [-1])
            return []
        rows = [self.compare(*row) for row in zip(embeddings, boxes, scores, classes, strict=True)]
        places = self.choose(rows)
        for entry in self.objects:
            entry["unseen"] += 1
        ids = [-1] * len(rows)
        for n, k in enumerate(places):
            if k >= 0:
                entry = self.objects[k]
                self.seen["again"] += 1
                self.seen["other label"] += entry["label"] != classes[n]
                ids[n] = entry["id"]
                entry |= {"embedding": embeddings[n], "box": boxes[n], "unseen": 0}
        for wanted in ("new", "lost"):
            for n, k in enumerate(places):
                if k == {"new": -2, "lost": -1}[wanted]:
                    self.seen[wanted] += 1
                    ids[n], self.next_id = self.next_id, self.next_id + 1
                    self.objects.append({"id": ids[n], "embedding": embeddings[n], "box": boxes[n], "label": classes[n], "unseen": 0})
        if not self.faithful:
            self.forget()
        return ids

    def compare(self, x, box, score, label):
        # In float32 as the original: far from the best, differences vanish, and then the order decides.
        f = np.float32
        products = [f(0)] + [f(sum(a * b for a, b in zip(x, entry["embedding"], strict=True))) for entry in self.objects]
        top, total = max(products), f(0)
        for product in products:
            total += np.exp(product - top)
        row = []
        for k, product in enumerate(products):
            value = product - top - np.log(total) + (np.log(f(score)) if score else f(-np.inf))
            value += f(0) if k == 0 else f(2) * f(iou(box, self.objects[k - 1]["box"]))
            value += f(10) if k == 0 or self.objects[k - 1]["label"] == label else f(0)
            row.append(value)
        return row

    def choose(self, rows):
        best, owner = [-100.0] * len(self.objects), [None] * len(self.objects)
        places = []
        for n, row in enumerate(rows):
            k = row.index(max(row)) - 1
            if k < 0:
                places.append(-2)
            elif row[k + 1] > best[k]:
                if owner[k] is not None:
                    places[owner[k]] = -1
                    self.seen["beaten"] += 1
                best[k], owner[k] = row[k + 1], n
                places.append(k)
            else:
                self.seen["bad"] += row[k + 1] <= -100
                places.append(-1)
        return places

    def forget(self):
        self.objects = [entry for entry in self.objects if entry["unseen"] <= MAX_AGE_UPDATES]


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    overlap = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return overlap / (sum(areas) - overlap)


def candidates(embeddings, boxes, scores, classes):
    """Candidates of lists; of none, too."""
    m = len(scores)
    return Candidates(
        boxes=np.array(boxes, np.float32).reshape(m, 4),
        scores=np.array(scores, np.float32),
        classes=np.array(classes, np.int64),
        embeddings=np.array(embeddings, np.float32).reshape(m, 3),
        kept=np.zeros(0, np.int64),
        rows=np.zeros(0, np.int64),
    )


def drawn(rng, earlier):
    """Detections of a frame: new ones, and exact or changed copies of earlier ones.

    Products of embeddings are multiples of 25 / 256, so that they are exact and no difference of two is one of overlap or label.
    """
    m = int(rng.choice([0, 1, 2, 3, 5, 8], p=[0.15, 0.15, 0.2, 0.2, 0.2, 0.1]))
    rows = []
    for _ in range(m):
        if earlier and rng.random() < 0.75:
            x, box, score, label = earlier[rng.integers(len(earlier))]
            change = rng.random()
            label = int(rng.integers(3)) if change < 0.2 else label
            box = [v + d for v, d in zip(box, (1, 2, *rng.integers(2, 6, 2).tolist()), strict=True)] if change > 0.5 else box
        else:
            scale = int(rng.choice([1, 4]))
            x = [float(v) for v in rng.integers(-7, 8, 3) * scale * 0.3125]
            corner = rng.integers(0, 40, 2)
            box, label = [float(v) for v in (*corner, *(corner + rng.integers(0, 20, 2)))], int(rng.integers(3))
        score = float(rng.choice([0.0, 1e-45, 0.61, 0.7, 0.9], p=[0.02, 0.08, 0.3, 0.3, 0.3]))
        rows.append((x, box, float(np.float32(score)), label))
    return rows


@pytest.mark.parametrize("faithful", [False, True])
def test_ids_are_those_of_the_plain_loop(faithful):
    """More than 1,000 frames, among them empty ones, ties, conflicts, changed labels and hopeless scores, get the same ids."""
    rng = np.random.default_rng(31)
    totals = dict.fromkeys(Reference(faithful=faithful).seen, 0)
    for _ in range(SEQUENCES):
        tracker, reference, earlier = EmbeddingTracker(faithful=faithful), Reference(faithful=faithful), []
        for step in range(STEPS):
            rows = drawn(rng, earlier)
            columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
            ids = tracker.update(candidates(columns[0], columns[1], columns[2], columns[3]))
            assert ids.tolist() == reference.update(*columns), f"step {step}"
            assert len(tracker) == len(reference.objects)
            earlier += rows
        totals = {name: count + reference.seen[name] for name, count in totals.items()}

    assert all(totals.values()), totals


def made(*rows, boxes=None, scores=None, classes=None):
    """Candidates with such embeddings; boxes, scores and labels alike where not given."""
    n = len(rows)
    return candidates(rows, boxes or [[0, 0, 9, 9]] * n, scores or [0.9] * n, classes or [0] * n)


def test_loser_of_a_conflict_becomes_new_after_all_others():
    """Of two detections that choose an object the better one has it; ids of others in the frame come before the loser's."""
    tracker = EmbeddingTracker()
    tracker.update(made((3, 0, 0)))

    ids = tracker.update(made((3, 0, 0), (4, 0, 0), (-9, 0, 0), scores=[0.7, 0.9, 0.8], boxes=[[0, 0, 9, 9]] * 2 + [[50, 50, 60, 60]]))

    assert ids.tolist() == [2, 0, 1]


def test_equal_claims_are_decided_by_order():
    """Of two equal detections the first has the object."""
    tracker = EmbeddingTracker()
    tracker.update(made((3, 0, 0)))

    assert tracker.update(made((3, 0, 0), (3, 0, 0))).tolist() == [0, 1]


def test_label_of_the_first_sight_stays():
    """A much larger product matches across labels; the object keeps its label, so the same again is still across labels."""
    tracker = EmbeddingTracker()
    tracker.update(made((5, 0, 0), classes=[1]))

    assert tracker.update(made((5, 0, 0), classes=[2])).tolist() == [0]
    # A product of 9 with label 2 is beaten by "new" (the label costs 10), with label 1 it is not.
    assert tracker.update(made((1, 0, 0), classes=[2], boxes=[[90, 90, 99, 99]])).tolist() == [1]
    assert tracker.update(made((5, 0, 0), classes=[1])).tolist() == [0]


def test_objects_out_of_sight_are_forgotten_and_ids_are_not_given_twice():
    """An object comes back under its id as long as it is remembered, and under a new one after that."""
    tracker = EmbeddingTracker()
    tracker.update(made((3, 0, 0)))
    for _ in range(MAX_AGE_UPDATES):
        tracker.update(made())
    assert tracker.update(made((3, 0, 0))).tolist() == [0]
    for _ in range(MAX_AGE_UPDATES + 1):
        tracker.update(made())

    assert len(tracker) == 0
    assert tracker.update(made((3, 0, 0))).tolist() == [1]
    tracker.reset()
    assert tracker.update(made((3, 0, 0))).tolist() == [2]


def test_memory_is_bounded_and_keeps_what_was_seen_last(monkeypatch):
    """Past the bound those that were out of sight longest go."""
    monkeypatch.setattr(embedding, "MEMORY_MAX", 3)
    tracker = EmbeddingTracker()
    far = [[100.0 * k, 0, 100.0 * k + 9, 9] for k in range(5)]
    for k in range(5):
        tracker.update(made((0, 0, 0), boxes=[far[k]]))
        assert len(tracker) <= 3

    assert tracker.update(made((0, 0, 0), boxes=[far[4]])).tolist() == [4]
    assert tracker.update(made((0, 0, 0), boxes=[far[0]])).tolist() == [5]


def test_faithful_tracker_never_forgets_and_counts_from_0_in_every_video():
    """The defects of the original: memory without end, ids that begin again, and ids for frames without a detection."""
    tracker = EmbeddingTracker(faithful=True)
    tracker.update(made((3, 0, 0)))
    for _ in range(MAX_AGE_UPDATES + 5):
        assert tracker.update(made()).tolist() == []

    # All empty frames together took one id: the stand-in is recognised by label and box.
    assert tracker.update(made((3, 0, 0), (-9, 0, 0), boxes=[[0, 0, 9, 9], [0, 0, 0, 0]])).tolist() == [0, 2]
    assert len(tracker) == 3
    tracker.reset()
    assert tracker.update(made((3, 0, 0))).tolist() == [0]


def test_a_stand_in_is_compared_by_what_the_track_head_made_of_it():
    """A large product takes it for an object although it has no label; else it is a new one."""
    tracker = EmbeddingTracker(faithful=True)
    tracker.update(made((9, 0, 0)))
    tracker.update(replace(made(), stand_in=np.array([9, 0, 0], np.float32)))
    assert len(tracker) == 1

    tracker.update(replace(made(), stand_in=np.array([-9, 0, 0], np.float32)))
    assert len(tracker) == 2


def test_empty_frames_take_no_id_and_the_first_frame_counts_up():
    """By default nothing found is nothing remembered; all of the first frame are new, in order."""
    tracker = EmbeddingTracker()

    assert tracker.update(made()).tolist() == []
    assert tracker.update(made((1, 0, 0), (1, 0, 0), (0, 1, 0))).tolist() == [0, 1, 2]


def test_comparison_adds_up_as_described():
    """A case by hand: products 0, 1 and 2, one box alike, one label alike."""
    known = Detections(np.array([[1, 0], [2, 0]], np.float32), np.array([[0, 0, 9, 9], [50, 0, 59, 9]], np.float32), np.array([1, 2]))
    found = Detections(np.array([[1, 0]], np.float32), np.array([[0, 0, 9, 4]], np.float32), np.array([2]))

    compared = compare(found, np.array([0.5], np.float32), known)

    total = math.log(1 + math.e + math.e**2)
    expected = [-total + math.log(0.5) + 10, 1 - total + math.log(0.5) + 2 * 0.5, 2 - total + math.log(0.5) + 10]
    assert compared.tolist() == [pytest.approx(expected, rel=1e-6)]


def test_a_comparison_of_minus_100_or_worse_takes_nothing():
    """The object is left to a better detection, and who came too late is new as well."""
    compared = np.array([[-102, -101], [-9, -8], [5, 4]], np.float32)

    assert assign(compared[:1]).tolist() == [LOST]
    assert assign(compared).tolist() == [LOST, 1, NEW]


def test_iou_counts_the_last_pixels():
    """Boxes of one pixel have an area, and boxes that only touch overlap."""
    boxes = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0]], np.float32)

    assert pixel_iou(boxes, boxes).tolist() == [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]]


def test_boxes_without_area_overlap_with_nothing():
    """Where a box's last pixel comes before its first there is no division by zero."""
    box = np.array([[5, 5, 4, 4]], np.float32)

    assert pixel_iou(box, box).tolist() == [[0]]


def test_candidates_without_embeddings_are_refused():
    """The message names the tracker that needs none."""
    bare = made((1, 0, 0))
    bare = Candidates(bare.boxes, bare.scores, bare.classes, None, bare.kept, bare.rows)

    with pytest.raises(ValueError, match=r"no track head, so take edgeseg\.track\.Tracker"):
        EmbeddingTracker().update(bare)
