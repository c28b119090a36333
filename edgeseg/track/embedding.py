"""Ids by the features of a track head: MaskTrack's matching (Yang et al., "Video Instance Segmentation", 2019) as VPSNet uses it.

Every detection is compared with every object seen before and with "new", a comparison that always scores the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.candidates import Candidates
from edgeseg.track.tracker import MEMORY_MAX
from edgeseg.types import AnyArray, F32Array, I64Array

MAX_AGE_UPDATES = 45
"""How many updates an object that is not seen stays in the memory."""
NEW = 0
"""Place of a detection that is a new object at once; object k has place k + 1."""
LOST = -1
"""Place of a detection that another one took the object from; it becomes a new object after all others."""
_SCORE_WEIGHT = np.float32(1)
_OVERLAP_WEIGHT = np.float32(2)
_LABEL_BONUS = np.float32(10)
_WORST = np.float32(-100)
"""A comparison must be better than this."""
_NO_LABEL = -1
"""Label of the original's stand-in for a frame in which nothing was found."""


@dataclass(frozen=True, repr=False)
class Detections:
    """M detections of one frame, or T objects as they were last seen."""

    embeddings: F32Array
    """float32 (M, D), of any length: not normalised."""
    boxes: F32Array
    """float32 (M, 4): x1, y1, x2, y2 in pixels of the network input."""
    classes: I64Array
    """int64 (M,): index into the labels."""

    def __len__(self) -> int:
        return len(self.classes)

    def select(self, index: AnyArray) -> Detections:
        """Those named by an integer or boolean index."""
        return Detections(self.embeddings[index], self.boxes[index], self.classes[index])

    def joined(self, other: Detections) -> Detections:
        """These and then the others."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("embeddings", "boxes", "classes"))
        return Detections(*map(np.concatenate, pairs))


def compare(found: Detections, scores: F32Array, known: Detections) -> F32Array:
    """How well each detection goes with "new" (column 0) and with each known object (columns 1 ... T): float32 (M, T + 1).

    The log of the softmax over the products of embeddings (0 for "new"), plus the log of the detection's score, twice the IoU (0 for
    "new"), and 10 for the same label (also for "new"). Another label is thus a strong reason against an object, but not a ban.

    Args:
        found: M detections.
        scores: float32 (M,) in 0..1.
        known: T objects.
    """
    none = np.zeros((len(found), 1), np.float32)
    likeness = np.hstack([none, found.embeddings @ known.embeddings.T])
    overlap = np.hstack([none, pixel_iou(found.boxes, known.boxes)])
    same = np.hstack([none == 0, found.classes[:, None] == known.classes[None]])
    with np.errstate(divide="ignore"):
        # A score of 0 is infinitely bad whatever it is compared with.
        confidence = np.log(scores[:, None])
    compared = _log_softmax(likeness) + _SCORE_WEIGHT * confidence + _OVERLAP_WEIGHT * overlap + _LABEL_BONUS * same
    return compared.astype(np.float32, copy=False)


def assign(compared: F32Array) -> I64Array:
    """The place of each detection: k + 1 for object k, `NEW` or `LOST`. int64 (M,).

    Detections choose in order; the first of equal columns is the best. An object goes to the detection that compares best with it,
    to the earlier of equals; whoever chose it beside that is `LOST`, and so is one whose comparison is -100 or worse.

    Args:
        compared: float32 (M, T + 1), see `compare`.
    """
    places = compared.argmax(axis=1)
    best, owners = np.full(compared.shape[1], _WORST, np.float32), np.full(compared.shape[1], -1)
    for n, place in enumerate(places.tolist()):
        if place == NEW:
            continue
        if compared[n, place] > best[place]:
            if owners[place] >= 0:
                places[owners[place]] = LOST
            best[place], owners[place] = compared[n, place], n
        else:
            places[n] = LOST
    return np.asarray(places, np.int64)


def pixel_iou(a: F32Array, b: F32Array) -> F32Array:
    """IoU float32 (A, B) of boxes (A, 4) and (B, 4) whose last row and column of pixels belong to them."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low + 1, 0, None).prod(axis=2)
    area_a, area_b = (a[:, 2:] - a[:, :2] + 1).prod(axis=1), (b[:, 2:] - b[:, :2] + 1).prod(axis=1)
    union = area_a[:, None] + area_b[None] - overlap
    # Two boxes that rounding has left no area do not overlap.
    iou: F32Array = overlap / np.where(union > 0, union, np.float32(1))
    return iou


def _log_softmax(values: F32Array) -> F32Array:
    """float32 (M, T), over the columns."""
    shifted = values - values.max(axis=1, keepdims=True)
    logs: F32Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


class EmbeddingTracker:
    """Ids for what the track head of one stream's model saw. Call `update` once for every frame that a graph ran on, in order.

    What is remembered of an object is its label at first sight, and the embedding and box of its last.

    Args:
        faithful: do as VPSNet's original: nothing is ever forgotten, ids begin at 0 again after `reset`, and a frame in which nothing
            was found takes an id for a stand-in. Else objects that are out of sight too long are forgotten, the memory is bounded,
            and no id is given twice.
    """

    def __init__(self, *, faithful: bool = False) -> None:
        self._faithful = faithful
        self._next_id = 0
        self._clear()

    def __len__(self) -> int:
        """Objects that are remembered."""
        return len(self._known)

    def reset(self) -> None:
        """Forget all objects: another video begins, or the picture has another size now."""
        self._clear()
        if self._faithful:
            self._next_id = 0

    def update(self, candidates: Candidates) -> I64Array:
        """Take the M candidates of a frame; their ids, int64 (M,), all different.

        Raises:
            ValueError: the candidates have no embeddings.
        """
        if candidates.embeddings is None:
            raise ValueError("these candidates have no embeddings; the model has no track head, so take edgeseg.track.Tracker")
        found, scores = Detections(candidates.embeddings, candidates.boxes, candidates.classes), candidates.scores
        if self._faithful and not len(found):
            stand_in = np.zeros(candidates.embeddings.shape[1], np.float32) if candidates.stand_in is None else candidates.stand_in
            self._take(_stand_in(stand_in), np.ones(1, np.float32))
            return np.zeros(0, np.int64)
        ids = self._take(found, scores)
        if not self._faithful:
            self._forget()
        return ids

    def _clear(self) -> None:
        self._known = Detections(np.zeros((0, 0), np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        self._ids, self._unseen = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def _take(self, found: Detections, scores: F32Array) -> I64Array:
        """Ids of the detections; the memory afterwards is that of this frame."""
        if not len(self._known):
            # A memory without objects does not know how long embeddings are.
            self._known = found.select(np.zeros(0, np.int64))
        places = assign(compare(found, scores, self._known))
        self._unseen += 1
        seen = places > NEW
        objects = places[seen] - 1
        self._known.embeddings[objects], self._known.boxes[objects] = found.embeddings[seen], found.boxes[seen]
        self._unseen[objects] = 0
        ids = np.full(len(found), -1, np.int64)
        ids[seen] = self._ids[objects]
        begun = np.concatenate([np.flatnonzero(places == NEW), np.flatnonzero(places == LOST)])
        ids[begun] = self._next_id + np.arange(len(begun))
        self._next_id += len(begun)
        self._known = self._known.joined(found.select(begun))
        self._ids, self._unseen = np.concatenate([self._ids, ids[begun]]), np.concatenate([self._unseen, np.zeros(len(begun), np.int64)])
        return ids

    def _forget(self) -> None:
        """Drop what was out of sight for too long, and past `MEMORY_MAX` what was so longest."""
        kept = np.flatnonzero(self._unseen <= MAX_AGE_UPDATES)
        kept = np.sort(kept[np.argsort(self._unseen[kept], kind="stable")[:MEMORY_MAX]])
        self._known, self._ids, self._unseen = self._known.select(kept), self._ids[kept], self._unseen[kept]


def _stand_in(embedding: F32Array) -> Detections:
    """The original's detection in a frame without any: no label, the box of the first pixel, and the embedding (D,) of that.

    Where the graph found something after all, but of too low a score, there is none, and zeros stand for it: another stand-in goes to
    this one then, by label and box, and no real detection does.
    """
    return Detections(embedding[None], np.zeros((1, 4), np.float32), np.full(1, _NO_LABEL))
