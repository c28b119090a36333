"""Fast NMS in plain numpy: the reference for the exported graph (Bolya et al., YOLACT, section 3.3; layers/functions/detection.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.ops.boxes import box_iou, descending_order
from edgeseg.types import F32Array, I64Array


@dataclass(frozen=True)
class Kept:
    """What survives NMS, in descending score order."""

    priors: I64Array
    """int64 (K,): index of the prior."""
    classes: I64Array
    """int64 (K,): 0-based foreground class."""
    scores: F32Array
    """float32 (K,)."""


@dataclass(frozen=True)
class NmsSettings:
    """The thresholds that YOLACT was trained and published with."""

    score_threshold: float = 0.05
    iou_threshold: float = 0.5
    top_k: int = 200
    max_detections: int = 100
    cross_class: bool = False
    """Suppress across classes: one class per prior, and up to ``top_k`` detections."""


def fast_nms(boxes: F32Array, conf: F32Array, settings: NmsSettings) -> Kept:
    """Per-class suppression in which suppressed boxes still suppress others.

    Args:
        boxes: float32 (P, 4) corner boxes.
        conf: float32 (P, C) class probabilities, background first.
    """
    foreground = conf[:, 1:]
    candidates = np.flatnonzero(foreground.max(axis=1) > settings.score_threshold)
    if settings.cross_class:
        return _cross_class(boxes, foreground, candidates, settings)
    parts = [_one_class(boxes, foreground[candidates, c], candidates, c, settings) for c in range(foreground.shape[1])]
    priors, classes, scores = (np.concatenate([getattr(part, name) for part in parts]) for name in ("priors", "classes", "scores"))
    best = descending_order(scores)[: settings.max_detections]
    return Kept(priors[best], classes[best], scores[best])


def _survivors(boxes: F32Array, settings: NmsSettings) -> I64Array:
    iou = np.triu(box_iou(boxes, boxes), k=1)
    return np.flatnonzero(iou.max(axis=0, initial=0.0) <= settings.iou_threshold)


def _one_class(boxes: F32Array, scores: F32Array, candidates: I64Array, label: int, settings: NmsSettings) -> Kept:
    order = descending_order(scores)[: settings.top_k]
    kept = order[_survivors(boxes[candidates[order]], settings)]
    return Kept(candidates[kept], np.full(len(kept), label, np.int64), scores[kept])


def _cross_class(boxes: F32Array, foreground: F32Array, candidates: I64Array, settings: NmsSettings) -> Kept:
    scores = foreground[candidates].max(axis=1)
    order = descending_order(scores)[: settings.top_k]
    kept = order[_survivors(boxes[candidates[order]], settings)]
    return Kept(candidates[kept], foreground[candidates[kept]].argmax(axis=1), scores[kept])
