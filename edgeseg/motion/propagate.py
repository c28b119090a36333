"""What was found in a trail's anchor frame, moved to its newest frame."""

from __future__ import annotations

import numpy as np

from edgeseg.masks import SoftMask, SoftMasks, grid_mask
from edgeseg.motion.sampling import cells, places
from edgeseg.motion.trail import Trail
from edgeseg.opencv import opencv
from edgeseg.types import F32Array, Instances

DECAY = 0.99
"""What a score keeps per frame."""


def propagate(found: Instances, trail: Trail, score_threshold: float = 0.0) -> Instances:
    """The instances of the anchor frame as they are in the newest frame."""
    if len(trail) == 0 or len(found) == 0:
        return found
    moved = [_moved(found, i, trail) for i in range(len(found))]
    scores = found.scores * np.float32(DECAY ** len(trail)) * np.array([kept for _, _, kept in moved], np.float32)
    rows = np.flatnonzero((scores > score_threshold) & np.array([kept > 0 for _, _, kept in moved]))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return Instances(
        boxes=np.array([moved[i][1] for i in rows], np.float32).reshape(len(rows), 4),
        scores=scores[rows],
        classes=found.classes[rows],
        masks=SoftMasks(tuple(moved[i][0] for i in rows), found.image_hw),
        track_ids=found.track_ids[rows],
        image_hw=found.image_hw,
        mask_scores=None if found.mask_scores is None else found.mask_scores[rows] * (scores[rows] / found.scores[rows]),
    )


def _moved(found: Instances, i: int, trail: Trail) -> tuple[SoftMask, F32Array, float]:
    cv2 = opencv()
    height, width = found.image_hw
    backward = trail.backward
    rows, columns = backward.shape[:2]
    unit_x, unit_y = width / columns, height / rows
    unit = np.array([unit_x, unit_y], np.float32)
    empty = grid_mask(np.zeros((0, 0), np.float32), (0, 0), (rows, columns), found.image_hw), np.zeros(4, np.float32), 0.0
    x1, y1, x2, y2 = found.boxes[i].tolist()
    low = (x1 / unit_x - 1.5, y1 / unit_y - 1.5)
    high = (x2 / unit_x + 0.5, y2 / unit_y + 0.5)
    at = places(backward)
    hits = cv2.inRange(at, low, high)
    left, top, w, h = cv2.boundingRect(hits)
    if not w:
        return empty
    window = slice(top, top + h), slice(left, left + w)
    point = (at[window] + np.float32(0.5)) * unit
    values = found.masks.at(i, np.ascontiguousarray(point[..., 0]), np.ascontiguousarray(point[..., 1]))
    inside = values > 0.5
    kept = inside & trail.reliable[window]
    if not kept.any():
        return empty
    solid = cv2.morphologyEx(kept.view(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).view(bool)
    values[inside & ~solid] = 0
    here = cells((rows, columns))[window][kept]
    step = np.median(here - at[window][kept], axis=0) * unit
    box = found.boxes[i] + np.tile(step, 2)
    box = np.clip(box, 0, [width, height, width, height]).astype(np.float32)
    if box[0] >= box[2] or box[1] >= box[3]:
        return empty
    return grid_mask(values, (left, top), (rows, columns), found.image_hw), box, float(kept.sum() / inside.sum())
