"""The detections of the original nets, and how those of the runtime are matched with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

SCORE = 0.15
"""Threshold above which the files in tests/data/yolact list detections."""
SCORE_TOLERANCE = 1e-3
BOX_TOLERANCE_PX = 1
MASK_IOU_MIN = 0.99
NEAR_TIES = {("yolact_edge_youtubevis", "astronaut"): 2, ("yolact_plus_base", "astronaut"): 2}
"""Configuration and picture -> detections that may differ, because scores or IoUs there lie within rounding of a threshold."""


@dataclass
class Match:
    """How found detections compare with expected ones."""

    expected: int
    found: int
    missing: int = 0
    """Expected detections without a counterpart."""
    max_score_error: float = 0.0
    """Over the matched ones."""
    max_box_error_px: float = 0.0
    min_mask_iou: float = 1.0

    @property
    def extra(self) -> int:
        """Found detections without a counterpart."""
        return self.found - (self.expected - self.missing)

    def __str__(self) -> str:
        return (
            f"expected {self.expected}, found {self.found}, missing {self.missing}, extra {self.extra}, score error "
            f"{self.max_score_error:.1e}, box error {self.max_box_error_px:g} px, mask IoU {self.min_mask_iou:.4f}"
        )


def match(golden: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]], box_px: float = BOX_TOLERANCE_PX) -> Match:
    """Pair every entry of a golden's ``final`` with at most one record of `Result.to_json` that is the same within the tolerances.

    Where a golden has mask scores (YOLACT++), they must agree as well. ``box_px`` is the largest difference of a box's edge.
    """
    result = Match(len(golden), len(records))
    free = list(range(len(records)))
    for wanted in golden:
        alike = [k for k in free if _alike(wanted, records[k], box_px)]
        ious = {k: mask_iou(wanted["rle"], records[k]["mask"]) for k in alike}
        best = max(ious, key=lambda k: ious[k], default=None)
        if best is None or ious[best] < MASK_IOU_MIN:
            result.missing += 1
            continue
        free.remove(best)
        result.max_score_error = max(result.max_score_error, _score_error(wanted, records[best]))
        result.max_box_error_px = max(result.max_box_error_px, _box_error(wanted, records[best]))
        result.min_mask_iou = min(result.min_mask_iou, ious[best])
    return result


def mask_iou(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """IoU of two COCO run-length codes of one picture; two empty masks are the same."""
    codes = [{"size": code["size"], "counts": code["counts"].encode()} for code in (a, b)]
    if not any(coco_mask.area(code) for code in codes):
        return 1.0
    return float(coco_mask.iou(codes[:1], codes[1:], [0])[0, 0])


def _alike(wanted: Mapping[str, Any], record: Mapping[str, Any], box_px: float) -> bool:
    return (
        record["class_id"] == wanted["class"]
        and _score_error(wanted, record) <= SCORE_TOLERANCE
        and _box_error(wanted, record) <= box_px
        and ("mask_score" in record) == ("mask_score" in wanted)
    )


def _score_error(wanted: Mapping[str, Any], record: Mapping[str, Any]) -> float:
    return max(abs(record[name] - wanted[name]) for name in ("score", "mask_score") if name in wanted and name in record)


def _box_error(wanted: Mapping[str, Any], record: Mapping[str, Any]) -> float:
    return float(np.abs(np.subtract(record["box"], wanted["box"])).max())
