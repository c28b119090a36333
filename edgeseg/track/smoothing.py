"""Masks that are smooth in time: the last one, moved as its object moved, is blended into the new one where the two nearly agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgeseg.masks import SoftMask, SoftMasks, grid_mask
from edgeseg.opencv import opencv
from edgeseg.track.affine import back
from edgeseg.track.comparison import Comparison
from edgeseg.track.memory import Track
from edgeseg.types import F32Array, Instances, Masks, SizeHW

MEMORY = np.float32(0.75)
"""Weight of the past where it agrees with the new mask; for each frame in which no graph found the object the same factor again."""
SCORE_RESULTS = 10
"""A track's score is the mean of the first so many; then each new one has this part of the weight. Scores of single frames jump."""
COAST_DECAY = 0.8
"""What a score keeps per frame in which the graph misses the object."""
TOLERANCE = np.float32(0.8)
"""Local mean difference, in mask values, from which the past has no weight: the shape has really changed."""
FINE_CELLS = 144
"""Cells of smoothed masks are about as large as if so many covered the shorter side of the picture, or smaller. What is moved from
frame to frame on a coarse grid loses its corners: on YOLACT's own 80 x 80 cells, smoothing cost 3 points of mask AP."""
_CELLS_MAX = 128
"""But there are at most this many along each side of a mask, so that a large one is not slow."""
_MARGIN_CELLS = 3
"""Fine cells around a box; masks reach a little beyond."""
_NEIGHBOURHOOD = 5
"""Cells, along each side, over which the difference is averaged."""


def averaged(found: Instances, tracks: Sequence[Track], pairs: Mapping[int, int], compared: Comparison) -> Instances:
    """What was found, masks and scores averaged with those of the tracks.

    Args:
        found: instances; those whose masks are no `SoftMasks` are returned as they are.
        tracks: what they are paired with, as of the last frame.
        pairs: row of a track -> row of an instance.
        compared: the two, compared.
    """
    if not isinstance(found.masks, SoftMasks):
        return found
    masks, scores = list(found.masks.masks), found.scores.copy()
    for t, n in pairs.items():
        track = tracks[t]
        scores[n] = track.score + (scores[n] - track.score) / min(track.hits + 1, SCORE_RESULTS)
        if track.mask is not None:
            fine = refined(unclipped(masks[n], found.image_hw), min(found.image_hw) / FINE_CELLS)
            masks[n] = smoothed(fine, track.mask, compared.expected[t].step, MEMORY ** (track.unseen + 1))
    return rescored(replace(found, masks=SoftMasks(tuple(masks), found.image_hw)), scores)


def rescored(found: Instances, scores: F32Array) -> Instances:
    """The instances with other scores; mask scores change in the same ratio. The order stays."""
    mask_scores = found.mask_scores
    if mask_scores is not None:
        mask_scores = (mask_scores * scores / np.maximum(found.scores, np.float32(1e-6))).astype(np.float32)
    return replace(found, scores=scores, mask_scores=mask_scores)


def with_coasting(found: Instances, tracks: Sequence[Track], min_score: float) -> Instances:
    """The instances and the tracks that the graph missed where the flow took them, by score.

    Args:
        found: instances of a frame.
        tracks: tracks that keep their place. Those that were found once only, or scored less than ``min_score``, are not shown.
        min_score: 0..1.
    """
    shown = [track for track in tracks if track.hits > 1 and track.score >= min_score]
    if shown and isinstance(found.masks, SoftMasks):
        found = _joined(found, found.masks, shown)
    return found.select(np.argsort(-found.scores, kind="stable"))


def _joined(found: Instances, masks: SoftMasks, tracks: list[Track]) -> Instances:
    height, width = found.image_hw
    boxes = np.clip([track.box for track in tracks], 0, [width, height, width, height])
    scores = np.array([track.score * COAST_DECAY**track.unseen for track in tracks], np.float32)
    quality = np.array([track.mask_quality for track in tracks], np.float32)
    moved = [mask for track in tracks if isinstance(track.mask, SoftMasks) for mask in track.mask.masks]
    return Instances(
        boxes=np.concatenate([found.boxes, boxes]).astype(np.float32),
        scores=np.concatenate([found.scores, scores]),
        classes=np.concatenate([found.classes, [track.class_id for track in tracks]]).astype(np.int64),
        masks=SoftMasks((*masks.masks, *moved), found.image_hw),
        track_ids=np.concatenate([found.track_ids, [track.track_id for track in tracks]]).astype(np.int64),
        image_hw=found.image_hw,
        mask_scores=None if found.mask_scores is None else np.concatenate([found.mask_scores, scores * quality]),
    )


def smoothed(new: SoftMask, old: Masks, step: F32Array, memory: np.float32) -> SoftMask:
    """The new mask with the past blended in.

    Jitter of an outline changes thin lines, whose local mean is small; a change of shape changes whole areas. So the
    past loses its weight with the local mean of the difference, and real changes are followed at once.

    Args:
        new: a mask of this frame.
        old: the one mask of its track in the last frame, smoothed itself.
        step: float32 (2, 3): the way of the track back to the last frame.
        memory: weight of the past where it agrees with the new mask.
    """
    difference = old.at(0, *back(step, *cell_middles(new))) - new.values
    local = np.abs(opencv().blur(difference, (_NEIGHBOURHOOD, _NEIGHBOURHOOD)))
    weight = memory * np.maximum(1 - local / TOLERANCE, 0)
    return SoftMask(new.values + weight * difference, new.rectangle, new.window)


def carried(old: Masks, step: F32Array, box: F32Array, image_hw: SizeHW) -> SoftMasks:
    """A mask of the last frame where it is in this one.

    Args:
        old: one mask.
        step: float32 (2, 3): its way back to the last frame.
        box: float32 (4,): about where it is now.
        image_hw: size of the picture.
    """
    (height, width), cell_px = image_hw, min(image_hw) / FINE_CELLS
    margin = _MARGIN_CELLS * cell_px
    x1, y1 = np.floor(np.clip(box[:2] - margin, 0, (width, height))).astype(int).tolist()
    x2, y2 = np.ceil(np.clip(box[2:] + margin, 0, (width, height))).astype(int).tolist()
    if x1 >= x2 or y1 >= y2:
        return SoftMasks((grid_mask(np.zeros((0, 0), np.float32), (0, 0), (1, 1), image_hw),), image_hw)
    rows, columns = (max(1, min(round(length / cell_px), _CELLS_MAX)) for length in (y2 - y1, x2 - x1))
    place = SoftMask(np.zeros((rows, columns), np.float32), (x1, y1, x2, y2), (x1, y1, x2, y2))
    return SoftMasks((replace(place, values=old.at(0, *back(step, *cell_middles(place)))),), image_hw)


def refined(mask: SoftMask, cell_px: float) -> SoftMask:
    """The mask on cells of about ``cell_px`` pixels or smaller: a whole number of them in each of its own."""
    left, top, right, bottom = mask.rectangle
    rows, columns = mask.values.shape
    across, down = _parts((right - left) / cell_px, columns), _parts((bottom - top) / cell_px, rows)
    if across == down == 1:
        return mask
    return SoftMask(opencv().resize(mask.values, (columns * across, rows * down)), mask.rectangle, mask.window)


def unclipped(mask: SoftMask, image_hw: SizeHW) -> SoftMask:
    """The mask with zeros where it was clipped, so that the past may show there: boxes that clip masks jitter too."""
    (height, width), (left, top, right, bottom) = image_hw, mask.rectangle
    window = max(int(left), 0), max(int(top), 0), min(int(np.ceil(right)), width), min(int(np.ceil(bottom)), height)
    x, y = cell_middles(mask)
    x1, y1, x2, y2 = mask.window
    inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
    return SoftMask(np.where(inside, mask.values, np.float32(0)), mask.rectangle, window)


def _parts(wanted: float, cells: int) -> int:
    return max(1, min(round(wanted / cells), _CELLS_MAX // cells))


def cell_middles(mask: SoftMask) -> tuple[F32Array, F32Array]:
    """float32 (1, w) and (h, 1): x and y of the middles of a mask's cells, in pixels of the image."""
    rows, columns = mask.values.shape
    left, top, right, bottom = mask.rectangle
    x = left + (np.arange(columns) + 0.5) * ((right - left) / columns)
    y = top + (np.arange(rows) + 0.5) * ((bottom - top) / rows)
    return x.astype(np.float32)[None], y.astype(np.float32)[:, None]
