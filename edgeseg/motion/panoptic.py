"""A panoptic map of a trail's anchor frame, moved to its newest frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeseg.motion.flows import places
from edgeseg.motion.trail import Trail
from edgeseg.opencv import opencv
from edgeseg.types import I32Array, Panoptic


def propagate_panoptic(panoptic: Panoptic, trail: Trail) -> Panoptic:
    """The map of the anchor frame as it is in the newest frame; segments that are gone are left out."""
    if len(trail) == 0:
        return panoptic
    cv2 = opencv()
    height, width = panoptic.ids.shape
    rows, columns = trail.backward.shape[:2]
    unit = np.array([width / columns, height / rows], np.float32)
    at = (places(trail.backward) + np.float32(0.5)) * unit - np.float32(0.5)
    at = cv2.resize(at, (width, height), interpolation=cv2.INTER_LINEAR)
    x = np.clip(np.rint(at[..., 0]), 0, width - 1).astype(np.intp)
    y = np.clip(np.rint(at[..., 1]), 0, height - 1).astype(np.intp)
    ids: I32Array = panoptic.ids[y, x]
    kinds, areas = np.unique(ids, return_counts=True)
    area_of = dict(zip(kinds.tolist(), areas.tolist(), strict=True))
    segments = [replace(segment, area=area_of[segment.id]) for segment in panoptic.segments if segment.id in area_of]
    return Panoptic(ids, tuple(segments))
