"""What was found in one frame, brought forward to a later one without a graph."""

from __future__ import annotations

from dataclasses import replace

from edgeseg.families import Decoded
from edgeseg.motion import Trail, followed_things, propagate, propagate_panoptic
from edgeseg.regions import things_of


def moved(decoded: Decoded, trail: Trail, score_threshold: float) -> Decoded:
    """What was found in a trail's first frame, as it is in its last.

    Of a panoptic result the map moves, and its things are read from it, so that the two cannot contradict each other.
    """
    if len(trail) == 0:
        return decoded
    if decoded.panoptic is not None:
        panoptic = propagate_panoptic(decoded.panoptic, trail, score_threshold)
        return replace(decoded, instances=things_of(panoptic), panoptic=panoptic)
    found = decoded.instances
    return replace(decoded, instances=None if found is None else propagate(found, trail, score_threshold))


def follow(decoded: Decoded, trail: Trail, steps: int) -> bool:
    """Do a part of what `moved` does, at most ``steps`` frames of it; whether the trail's last frame is reached."""
    if len(trail) == 0:
        return True
    found = decoded.instances if decoded.panoptic is None else followed_things(decoded.panoptic, trail)
    return not found or trail.catch_up(found, steps)
