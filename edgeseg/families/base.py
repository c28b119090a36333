"""What a family is: it gives meaning to a graph's outputs. It knows nothing of backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edgeseg.bundle import Bundle
from edgeseg.candidates import Candidates
from edgeseg.geometry import Fit
from edgeseg.types import AnyArray, Instances, Panoptic

IMAGE = "image"
"""The input that every graph has: uint8 or float32 (1, h, w, 3) BGR."""
KEY = "key"
"""The graph that every bundle has: it needs nothing but the image."""
WARP = "warp"
"""The light graph of a video model: it needs the image and what the key graph carries to it."""
FUSE = "fuse"
"""What runs on a key frame in place of the key graph where an earlier key frame's tensors are at hand. It carries on what it takes."""


@dataclass(frozen=True)
class Decoded:
    """What one graph run found in one image."""

    instances: Instances | None = None
    panoptic: Panoptic | None = None
    candidates: Candidates | None = None
    """Of a panoptic model: what its head chose from."""


class Family(Protocol):
    """One kind of model output."""

    name: str
    outputs: tuple[str, ...]
    """What the graph that runs on a key frame must give."""
    dense: tuple[str, ...]
    """Of these, the maps, which have no rows that could change places: they can be compared number by number."""
    fits: tuple[str, ...]
    """Of `edgeseg.geometry.FITS`, those after which it can tell where in the picture a thing lies."""

    def configured(self, bundle: Bundle) -> Family:
        """The family as a bundle's labels and settings make it.

        Raises:
            BundleError: it cannot work with these.
        """
        ...

    def decode(self, outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> Decoded:
        """Turn graph outputs into values in image coordinates, keeping scores strictly above the threshold."""
        ...
