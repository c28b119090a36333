"""What was found in a trail's anchor frame, moved to its newest frame.

Each instance has its own motion, found by alignment (`edgeseg.motion.align`). Its mask and box move with it. Where two
masks come to lie over each other, the one whose look is seen there keeps the cells; cells where the newest frame shows
neither are dropped, and so are the fragments that would be left.
"""

from __future__ import annotations

import numpy as np

from edgeseg.masks import SoftMasks
from edgeseg.motion.align import Alignment
from edgeseg.motion.outline import Outlines
from edgeseg.motion.trail import Trail
from edgeseg.types import F32Array, Instances

DECAY = 0.995
"""What a score keeps per frame. Little, because scores of all frames are ranked together: what is lost shows in `Outlines.explained`."""
LOST = 0.45
"""Explained part of a mask below which its object is taken to be gone: nearly as much of any other place would fit by chance."""


def propagate(found: Instances, trail: Trail, score_threshold: float = 0.0) -> Instances:
    """The instances of the anchor frame as they are in the newest frame.

    Scores decay with every frame and with the part of an instance that is no longer seen as it was. Instances that are
    gone, that have left the picture, or whose score is not above the threshold are left out, all of them once the scene
    was cut. Classes and track ids stay. An empty trail returns its input.

    Args:
        found: what was found in the anchor. The same object in every frame, so that it is followed and not looked for.
        trail: from the anchor to the newest frame.
        score_threshold: scores must be above it.
    """
    if len(trail) == 0 or len(found) == 0:
        return found
    if trail.lost:
        return found.select(np.zeros(0, np.intp))
    alignment = trail.align(found)
    outlines = Outlines.of(alignment).visible()
    factor = outlasting(outlines, trail)
    scores = (found.scores * factor).astype(np.float32)
    boxes = _boxes(found, alignment, outlines)
    in_picture = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows = np.flatnonzero((factor > 0) & (scores > score_threshold) & in_picture)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return Instances(
        boxes=boxes[rows],
        scores=scores[rows],
        classes=found.classes[rows],
        masks=SoftMasks(tuple(outlines.mask(i) for i in rows.tolist()), found.image_hw),
        track_ids=found.track_ids[rows],
        image_hw=found.image_hw,
        mask_scores=None if found.mask_scores is None else (found.mask_scores * factor).astype(np.float32)[rows],
    )


def outlasting(outlines: Outlines, trail: Trail) -> F32Array:
    """float32 (N,): the part of each instance's score that is left at the end of a trail; 0 where the instance is gone."""
    explained = outlines.explained
    left: F32Array = np.where(explained < LOST, 0, explained) * np.float32(DECAY ** len(trail))
    return left


def _boxes(found: Instances, alignment: Alignment, outlines: Outlines) -> F32Array:
    """float32 (N, 4): boxes whose edges moved as those of their masks did; zero where nothing is left of a mask."""
    height, width = found.image_hw
    extents = outlines.extents
    boxes: F32Array = np.clip(found.boxes + extents - alignment.masks.extents, 0, [width, height, width, height]).astype(np.float32)
    boxes[(extents[:, :2] >= extents[:, 2:]).any(axis=1)] = 0
    return boxes
