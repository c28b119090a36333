"""How far the results of two forms of one model agree: instances are matched by class and mask, whatever their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.types import F64Array, Instances

MATCH_IOU = 0.5
"""Masks of one class that overlap this much are the same instance (COCO's AP50)."""
WEAK = 0.5
"""An instance is lost only if nothing like it has even this part of the threshold: a score of 0.301 that becomes 0.299 is no loss."""

SCORES = (0.3, 0.05)
"""Instances above the first count, which is what users see; where the reference has too few of these, those above the second."""
INSTANCES_MIN = 16
LEAST_SCORE = SCORES[-1] * WEAK
"""What both sides must hold to be compared."""


@dataclass
class Agreement:
    """What was counted over some pictures; errors are those of matched instances that score above the threshold in the reference."""

    score_threshold: float
    pictures: int = 0
    instances: int = 0
    """Of the reference, above the threshold."""
    lost: int = 0
    extra: int = 0
    max_score_error: float = 0.0
    sum_score_error: float = 0.0
    max_box_error_px: float = 0.0
    """Largest difference of a corner's coordinate."""
    min_mask_iou: float = 1.0
    sum_mask_iou: float = 0.0

    def numbers(self) -> dict[str, Any]:
        """As an entry of the ledger names them."""
        same = ("pictures", "instances", "lost", "extra", "max_score_error", "max_box_error_px", "min_mask_iou")
        return {
            **{name: getattr(self, name) for name in same},
            "score": self.score_threshold,
            "mean_score_error": self.mean_score_error,
            "mean_mask_iou": self.mean_mask_iou,
        }

    @property
    def matched(self) -> int:
        """Instances of the reference that have a counterpart."""
        return self.instances - self.lost

    @property
    def mean_mask_iou(self) -> float:
        """Over matched instances; 1 where there are none."""
        return self.sum_mask_iou / self.matched if self.matched else 1.0

    @property
    def mean_score_error(self) -> float:
        """Over matched instances; 0 where there are none."""
        return self.sum_score_error / self.matched if self.matched else 0.0

    def add(self, wanted: Instances, found: Instances) -> None:
        """Compare the reference's instances in one picture with the other's; both hold at least all above `WEAK` of the threshold."""
        wanted, found = (one.select(one.scores > self.score_threshold * WEAK) for one in (wanted, found))
        ious = mask_ious(wanted, found)
        pairs = _pairs(ious)
        matched = dict(pairs)
        self.pictures += 1
        self.extra += int((np.delete(found.scores, [k for _, k in pairs]) > self.score_threshold).sum())
        for i in np.flatnonzero(wanted.scores > self.score_threshold).tolist():
            self.instances += 1
            if i not in matched:
                self.lost += 1
                continue
            self._add_pair(wanted, i, found, matched[i], float(ious[i, matched[i]]))

    def _add_pair(self, wanted: Instances, i: int, found: Instances, k: int, iou: float) -> None:
        score_error = abs(float(found.scores[k] - wanted.scores[i]))
        self.max_score_error = max(self.max_score_error, score_error)
        self.sum_score_error += score_error
        self.max_box_error_px = max(self.max_box_error_px, float(np.abs(found.boxes[k] - wanted.boxes[i]).max()))
        self.min_mask_iou = min(self.min_mask_iou, iou)
        self.sum_mask_iou += iou


class Agreements:
    """The same at two thresholds, of which one is shown."""

    def __init__(self) -> None:
        self._each = tuple(Agreement(score) for score in SCORES)

    def add(self, wanted: Instances, found: Instances) -> None:
        """See `Agreement.add`; both hold all above `LEAST_SCORE`."""
        for agreement in self._each:
            agreement.add(wanted, found)

    @property
    def shown(self) -> Agreement:
        """Of what users see; where the reference has too little of that, of what is weaker too."""
        return self._each[0] if self._each[0].instances >= INSTANCES_MIN else self._each[1]


def _pairs(ious: F64Array) -> list[tuple[int, int]]:
    """Indices of the same instance on both sides, the best overlaps first."""
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(-ious, axis=None, kind="stable").tolist():
        i, k = divmod(flat, ious.shape[1])
        if ious[i, k] < MATCH_IOU:
            break
        if not any(i == one or k == other for one, other in pairs):
            pairs.append((i, k))
    return pairs


def mask_ious(a: Instances, b: Instances) -> F64Array:
    """float64 (N, M): overlap of the masks of instances of one class; 0 between classes, 1 where both masks are empty."""
    if not (len(a) and len(b)):
        return np.zeros((len(a), len(b)))
    left, right = _flat(a), _flat(b)
    common = (left @ right.T).astype(np.float64)
    union = left.sum(axis=1, dtype=np.float64)[:, None] + right.sum(axis=1, dtype=np.float64)[None] - common
    ious = np.where(union > 0, common / np.maximum(union, 1), 1.0)
    return np.where(a.classes[:, None] == b.classes[None], ious, 0.0)


def _flat(instances: Instances) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 (N, pixels) of 0 and 1; products of such are exact up to 2^24 pixels."""
    return np.stack([instances.masks.paste(i).reshape(-1) for i in range(len(instances))]).astype(np.float32)
