"""The panoptic head of UPSNet and VPSNet: detections and semantic logits become one map.

`reference` says plainly what is computed; `head`, `removal` and `unify` compute the same without planes of the whole picture.
"""

from edgeseg.ops.panoptic.detections import VOID, Detections, SlotMap
from edgeseg.ops.panoptic.head import panoptic_head
from edgeseg.ops.panoptic.identity import ids_of_rows
from edgeseg.ops.panoptic.unify import Verdicts, vote

__all__ = ["VOID", "Detections", "SlotMap", "Verdicts", "ids_of_rows", "panoptic_head", "vote"]
