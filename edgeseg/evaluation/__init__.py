"""How good results are, against ground truth."""

from __future__ import annotations

from edgeseg.evaluation.coco import CocoTruth, CodedTruth, MaskAp, MaskApMeter, coded
from edgeseg.evaluation.distance import DistanceAp, DistanceApMeter
from edgeseg.evaluation.identity import Identity, IdentityMeter
from edgeseg.evaluation.stability import Stability, StabilityMeter

__all__ = [
    "CocoTruth",
    "CodedTruth",
    "DistanceAp",
    "DistanceApMeter",
    "Identity",
    "IdentityMeter",
    "MaskAp",
    "MaskApMeter",
    "Stability",
    "StabilityMeter",
    "coded",
]
