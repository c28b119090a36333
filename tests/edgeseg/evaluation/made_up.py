"""Results and ground truth made of rectangles, so that every overlap is known."""

from __future__ import annotations

import numpy as np

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.types import GroundTruth, Instances, Label, Result, Step

HW = (60, 80)
LABELS = (Label("disc", 3), Label("box", 7))
A, B = (5, 5, 25, 25), (40, 10, 70, 40)


def rectangle(x1, y1, x2, y2):
    """A mask that is exactly a rectangle of pixels."""
    return SoftMask(np.ones((1, 1), np.float32), (x1, y1, x2, y2), (x1, y1, x2, y2))


def result(*found, since_key=0, ids=None, frame=0):
    """A result of (class, score, (x1, y1, x2, y2)) triples."""
    return Result(
        frame_index=frame,
        step=Step.PROPAGATE if since_key else Step.KEY,
        labels=LABELS,
        image_hw=HW,
        since_key=since_key,
        instances=Instances(
            boxes=np.array([box for _, _, box in found], np.float32).reshape(-1, 4),
            scores=np.array([score for _, score, _ in found], np.float32),
            classes=np.array([label for label, _, _ in found], np.int64),
            masks=SoftMasks(tuple(rectangle(*box) for _, _, box in found), HW),
            track_ids=np.array([-1] * len(found) if ids is None else ids, np.int64),
            image_hw=HW,
        ),
    )


def truth(*objects, ignored=(), ids=None):
    """Ground truth of (class, (x1, y1, x2, y2)) pairs; ``ignored`` holds rows."""
    flags = np.array([row in ignored for row in range(len(objects))], bool)
    numbers = None if ids is None else np.array(ids, np.int64)
    return GroundTruth(np.array([label for label, _ in objects], np.int64), tuple(filled(box) for _, box in objects), flags, HW, numbers)


def filled(box):
    """bool (H, W): the pixels of a rectangle."""
    x1, y1, x2, y2 = box
    mask = np.zeros(HW, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def result_of_masks(classes, masks, labels=LABELS):
    """A result whose masks are exactly these, bool (H, W) each, without ids."""
    height, width = image_hw = masks[0].shape
    whole = (0, 0, width, height)
    n = len(masks)
    return Result(
        frame_index=0,
        step=Step.KEY,
        labels=labels,
        image_hw=image_hw,
        instances=Instances(
            boxes=np.tile(np.array(whole, np.float32), (n, 1)),
            scores=np.linspace(0.9, 0.5, n, dtype=np.float32),
            classes=np.array(classes, np.int64),
            masks=SoftMasks(tuple(SoftMask(mask.astype(np.float32), whole, whole) for mask in masks), image_hw),
            track_ids=np.full(n, -1, np.int64),
            image_hw=image_hw,
        ),
    )
