"""How good results are, against ground truth."""

from __future__ import annotations

from edgeseg.evaluation.coco import MaskAp, MaskApMeter

__all__ = ["MaskAp", "MaskApMeter"]
