"""A panoptic map of a trail's anchor frame, moved to its newest frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgeseg.masks import SoftMasks
from edgeseg.motion.flows import places
from edgeseg.motion.outline import Outlines
from edgeseg.motion.propagate import outlasting
from edgeseg.motion.trail import Trail
from edgeseg.opencv import opencv
from edgeseg.regions import things_of
from edgeseg.types import BoolArray, F32Array, I32Array, Instances, Panoptic, Segment

THING_SIDE = 64
"""Cells of a thing's mask along its longer side; smaller things keep their pixels."""


@dataclass(frozen=True, repr=False)
class _Layers:
    """A panoptic map taken apart."""

    things: Instances
    """In the order of ``ids``."""
    ids: tuple[int, ...]
    ground: I32Array
    """int32 (H, W): the map without its things; the nearest of the rest has grown over their places."""


def propagate_panoptic(panoptic: Panoptic, trail: Trail, score_threshold: float = 0.0) -> Panoptic:
    """The map of the anchor frame as it is in the newest frame.

    Things are followed one by one as `propagate` does, and their scores decay alike. All else is sampled along the dense flow, and
    grows from around to where a thing has left; what comes in at the picture's edge is taken from the edge. A thing that is lost
    or whose score is not above the threshold, and every segment of which no pixel is left, is left out. An empty trail returns
    its input.
    """
    if len(trail) == 0:
        return panoptic
    if trail.lost:
        return Panoptic(np.zeros_like(panoptic.ids), ())
    layers = trail.once(panoptic, lambda: _layers(panoptic))
    ids, scores = _along(layers.ground, trail.backward), layers.things.scores
    if layers.ids:
        outlines = Outlines.of(trail.align(layers.things)).visible()
        masks = SoftMasks(tuple(outlines.mask(i) for i in range(len(layers.ids))), layers.things.image_hw)
        left = outlasting(outlines, trail)
        scores = (scores * left).astype(np.float32)
        for i in np.flatnonzero((left > 0) & (scores > score_threshold)).tolist():
            y, x, inside = masks.crop(i)
            ids[y : y + inside.shape[0], x : x + inside.shape[1]][inside] = layers.ids[i]
    return Panoptic(ids, _segments(panoptic.segments, ids, dict(zip(layers.ids, scores.tolist(), strict=True))))


def followed_things(panoptic: Panoptic, trail: Trail) -> Instances:
    """The things of a map of the anchor as `propagate_panoptic` follows them: what `Trail.catch_up` takes to do a part of it."""
    return trail.once(panoptic, lambda: _layers(panoptic)).things


def _layers(panoptic: Panoptic) -> _Layers:
    """The things of a map as instances, and the rest."""
    numbers = np.array([segment.id for segment in panoptic.segments if segment.is_thing], np.int32)
    found = things_of(panoptic, THING_SIDE)
    seen = np.flatnonzero((found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1))
    things, left = found.select(seen), tuple(numbers[seen].tolist())
    return _Layers(things, left, _grown(panoptic.ids, np.isin(panoptic.ids, left)))


def _grown(ids: I32Array, gone: BoolArray) -> I32Array:
    """int32 (H, W): a map in which each pixel that is ``gone``, bool (H, W), takes the number of the nearest that is not."""
    if not gone.any():
        return ids
    if gone.all():
        return np.zeros_like(ids)
    cv2 = opencv()
    _, nearest = cv2.distanceTransformWithLabels(gone.view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    number_of = np.zeros(int(nearest.max()) + 1, np.int32)
    number_of[nearest[~gone]] = ids[~gone]
    grown: I32Array = np.where(gone, number_of[nearest], ids)
    return grown


def _along(ids: I32Array, backward: F32Array) -> I32Array:
    """int32 (H, W): the map ``ids`` (H, W) where the flow (h, w, 2) leads each pixel; nearest, and at most to the picture's edge."""
    cv2 = opencv()
    height, width = ids.shape
    rows, columns = backward.shape[:2]
    in_pixels = backward * np.array([width / columns, height / rows], np.float32)
    at = places(cv2.resize(in_pixels, (width, height), interpolation=cv2.INTER_LINEAR))
    # Whole numbers up to 2 ** 24 are exact in float32, and nearest look-up copies them.
    moved = cv2.remap(ids.astype(np.float32), at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.int32)


def _segments(segments: tuple[Segment, ...], ids: I32Array, scores: Mapping[int, float]) -> tuple[Segment, ...]:
    """The segments of which something is left in a map, with their new areas and scores; things first, in descending score order."""
    numbers, areas = np.unique(ids, return_counts=True)
    area_of = dict(zip(numbers.tolist(), areas.tolist(), strict=True))
    left = [replace(one, area=area_of[one.id], score=scores.get(one.id, one.score)) for one in segments if one.id in area_of]
    return tuple(sorted(left, key=lambda one: (not one.is_thing, -one.score if one.is_thing else 0.0)))
