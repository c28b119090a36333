"""How good results are, against ground truth."""

from __future__ import annotations

from edgeseg.evaluation.coco import CocoTruth, CodedTruth, MaskAp, MaskApMeter, coded
from edgeseg.evaluation.distance import DistanceAp, DistanceApMeter
from edgeseg.evaluation.identity import Identity, IdentityMeter
from edgeseg.evaluation.panoptic import PqMeter, PqScore, Quality
from edgeseg.evaluation.stability import Stability, StabilityMeter
from edgeseg.evaluation.vpq import VpqMeter, VpqScore

__all__ = [
    "CocoTruth",
    "CodedTruth",
    "DistanceAp",
    "DistanceApMeter",
    "Identity",
    "IdentityMeter",
    "MaskAp",
    "MaskApMeter",
    "PqMeter",
    "PqScore",
    "Quality",
    "Stability",
    "StabilityMeter",
    "VpqMeter",
    "VpqScore",
    "coded",
]
