"""What a viewer sees of one frame: the annotated picture as JPEG, and facts about it as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgeseg.draw import annotate, instance_colour
from edgeseg.errors import SinkError
from edgeseg.opencv import opencv
from edgeseg.types import Frame, Instances, Panoptic, Result, U8Array

SIDE_MAX = 1280
"""Longer side of the pictures that are sent, pixels: larger ones only fill the network."""
_QUALITY = 80


def limited(result: Result, least: float) -> Result:
    """The same result without the instances, and things of a map, that score less than ``least``."""
    found, panoptic = result.instances, result.panoptic
    return replace(
        result,
        instances=None if found is None else found.select(found.scores >= least),
        panoptic=None if panoptic is None else _limited_map(panoptic, least),
    )


def _limited_map(panoptic: Panoptic, least: float) -> Panoptic:
    kept = tuple(segment for segment in panoptic.segments if not segment.is_thing or segment.score >= least)
    if len(kept) == len(panoptic.segments):
        return panoptic
    return Panoptic(np.where(np.isin(panoptic.ids, [segment.id for segment in kept]), panoptic.ids, np.int32(0)), kept)


def jpeg_of(frame: Frame, result: Result, side_max: int = SIDE_MAX) -> bytes:
    """The annotated picture, no longer than ``side_max`` on either side.

    Raises:
        SinkError: it cannot be encoded.
    """
    cv2 = opencv()
    image: U8Array = annotate(frame.pixels, result)
    if (scale := side_max / max(frame.image_hw)) < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    if not done:
        raise SinkError(f"frame {frame.index} cannot be shown: OpenCV does not encode it as JPEG.")
    encoded: bytes = data.tobytes()
    return encoded


def facts_of(frame: Frame, result: Result) -> dict[str, Any]:
    """What the page shows beside the picture."""
    found = result.instances
    return {
        "stream": frame.stream,
        "frame": frame.index,
        "step": result.step.value,
        "since_key": result.since_key,
        "age_ms": result.age_s * 1e3,
        "latency_ms": sum(result.spans.values()) * 1e3,
        "stages_ms": {name: seconds * 1e3 for name, seconds in result.spans.items()},
        "image_size": list(frame.image_hw),
        "instances": [] if found is None else [_row(found, i, result) for i in range(len(found))],
    }


def _row(found: Instances, i: int, result: Result) -> dict[str, Any]:
    blue, green, red = instance_colour(found, i)
    return {
        "label": result.labels[found.classes[i]].name,
        "score": float(found.scores[i]),
        "id": int(found.track_ids[i]) if found.track_ids[i] >= 0 else None,
        "colour": f"#{red:02x}{green:02x}{blue:02x}",
    }
