"""Ids for what is found in a stream: instances and the segments of panoptic maps alike."""

from __future__ import annotations

from dataclasses import replace

from edgeseg.families import Decoded
from edgeseg.motion import Motion
from edgeseg.ops.panoptic.identity import ids_of_rows
from edgeseg.regions import with_track_ids
from edgeseg.track import EmbeddingTracker, Tracker
from edgeseg.types import Frame, Instances


class Identities:
    """The ids of one stream, by the embeddings of a model that has a track head, else by `Tracker`.

    Call `recognise` for what a graph found in a frame, then bring it forward to the newest frame if that is another one, then `match`
    it there; call `follow` for a frame on which no graph ran.

    Args:
        smooth: see `Tracker`; not for panoptic results, whose masks would no longer be those of the map.
        faithful: give ids by embeddings as VPSNet's original does, see `EmbeddingTracker` and
            `edgeseg.ops.panoptic.identity.ids_of_rows`.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """

    def __init__(self, *, smooth: bool = False, faithful: bool = False) -> None:
        self._faithful = faithful
        self._tracker = Tracker(smooth=smooth)
        self._embeddings = EmbeddingTracker(faithful=faithful)

    def reset(self) -> None:
        """The picture has another size now."""
        self._tracker.reset()
        self._embeddings.reset()

    def recognise(self, decoded: Decoded) -> Decoded:
        """What a graph found with ids by its embeddings; as it is if it has none."""
        candidates = decoded.candidates
        if decoded.instances is None or candidates is None or candidates.embeddings is None:
            return decoded
        ids = ids_of_rows(candidates, self._embeddings.update(candidates), self._faithful)
        return _with_ids(decoded, replace(decoded.instances, track_ids=ids))

    def match(self, frame: Frame, decoded: Decoded, motion: Motion | None) -> Decoded:
        """What a graph found with ids by what it looks like and where it is; as it is if `recognise` gave ids.

        Args:
            frame: the newest frame.
            decoded: what was found in it or brought forward to it.
            motion: how the picture moved since the frame before; None if that is not known.
        """
        if decoded.instances is None or _is_recognised(decoded):
            return decoded
        return _with_ids(decoded, self._tracker.update(frame, decoded.instances, motion))

    def follow(self, frame: Frame, decoded: Decoded, motion: Motion | None) -> Decoded:
        """What was brought forward from a frame before, with its ids; arguments as for `match`."""
        if decoded.instances is not None and not _is_recognised(decoded):
            self._tracker.follow(frame, decoded.instances, motion)
        return decoded


def _is_recognised(decoded: Decoded) -> bool:
    return decoded.candidates is not None and decoded.candidates.embeddings is not None


def _with_ids(decoded: Decoded, instances: Instances) -> Decoded:
    panoptic = None if decoded.panoptic is None else with_track_ids(decoded.panoptic, instances.track_ids)
    return replace(decoded, instances=instances, panoptic=panoptic)
