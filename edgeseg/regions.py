"""The things of a panoptic map as instances, and ids for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.opencv import opencv
from edgeseg.segmap import extents_of, rows_of
from edgeseg.types import AnyArray, I64Array, Instances, Panoptic, Segment


def things_of(panoptic: Panoptic, side: int | None = None) -> Instances:
    """The thing segments of a map, one row for each, in the map's order.

    A mask is the segment's region, pixel by pixel, and its box the smallest around it: x1, y1, x2, y2 with x2 and y2 one
    beyond the last pixel. A thing of which the map has no pixel has an empty mask and a box of zeros.

    Args:
        panoptic: the map.
        side: cells that a mask may have along its longer side: larger ones become soft masks of that many. None: any number.
    """
    things = [segment for segment in panoptic.segments if segment.is_thing]
    masks = _regions(panoptic, side) if things else ()
    image_hw = (panoptic.ids.shape[0], panoptic.ids.shape[1])
    return Instances(
        boxes=np.array([mask.window for mask in masks], np.float32).reshape(len(things), 4),
        scores=np.array([segment.score for segment in things], np.float32),
        classes=np.array([segment.class_id for segment in things], np.int64),
        masks=SoftMasks(masks, image_hw),
        track_ids=np.array([-1 if segment.track_id is None else segment.track_id for segment in things], np.int64),
        image_hw=image_hw,
    )


def with_track_ids(panoptic: Panoptic, ids: I64Array) -> Panoptic:
    """The same map whose things have track ids int64 (R,), in the order of the segments; -1 is none.

    Raises:
        ValueError: there are not as many ids as things.
    """
    things = [segment for segment in panoptic.segments if segment.is_thing]
    given = {segment.id: number for segment, number in zip(things, ids.tolist(), strict=True)}
    return Panoptic(panoptic.ids, tuple(_numbered(segment, given.get(segment.id, -1)) for segment in panoptic.segments))


def _numbered(segment: Segment, track_id: int) -> Segment:
    return replace(segment, track_id=None if track_id < 0 else track_id)


def _regions(panoptic: Panoptic, side: int | None) -> tuple[SoftMask, ...]:
    """The masks of a map's things, which is looked through once, however many they are."""
    rows = rows_of(panoptic)
    boxes = extents_of(rows, len(panoptic.segments)).boxes.tolist()
    things = (place for place, segment in enumerate(panoptic.segments) if segment.is_thing)
    return tuple(_region(rows, 1 + place, boxes[place], side) for place in things)


def _region(rows: AnyArray, row: int, box: list[int], side: int | None) -> SoftMask:
    """The mask of a row of the map on its box: x, y, width, height. Where a cell is a pixel its values are exactly 0 and 1."""
    cv2 = opencv()
    x, y, width, height = box
    if not width:
        return SoftMask(np.zeros((1, 1), np.float32), (0.0, 0.0, 1.0, 1.0), (0, 0, 0, 0))
    values = (rows[y : y + height, x : x + width] == row).astype(np.float32)
    if side is not None and max(width, height) > side:
        shrink = side / max(width, height)
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    corners = (x, y, x + width, y + height)
    return SoftMask(values, (float(x), float(y), float(x + width), float(y + height)), corners)
