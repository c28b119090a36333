"""COCO mask average precision, computed by pycocotools."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.errors import EvaluationError, MissingDependencyError
from edgeseg.types import GroundTruth, Label, Result

DETECTIONS_PER_IMAGE = 100


def _library(name: str) -> Any:
    try:
        return importlib.import_module(f"pycocotools.{name}")
    except ImportError as error:
        raise MissingDependencyError.for_extra("pycocotools", "eval", error) from error


@dataclass(frozen=True)
class MaskAp:
    """Average precision in 0..1; NaN where there was nothing to find."""

    ap: float
    """Mean over IoU 0.50 to 0.95 in steps of 0.05 and over classes."""
    ap50: float
    ap75: float
    per_class: dict[str, float]
    """Label name -> AP."""
    images: int
    instances: int
    """Ground truth instances, ignored ones left out."""


class MaskApMeter:
    """Collects results frame by frame, as run-length codes, and scores them at the end.

    Memory grows with the number of instances: meant for evaluation sets, not for live streams.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = tuple(labels)
        self._rle = _library("mask")
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []

    def add(self, result: Result, truth: GroundTruth) -> None:
        """Take one frame's result with what is truly there.

        Raises:
            EvaluationError: they are of different sizes.
        """
        if truth.image_hw != result.image_hw:
            raise EvaluationError(
                f"result is for a picture of {result.image_hw}, ground truth for {truth.image_hw}; they do not belong together"
            )
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": result.image_hw[0], "width": result.image_hw[1]})
        self._results.extend(result.to_coco(image_id))
        for label, mask, ignored in zip(truth.classes, truth.masks, truth.ignored, strict=True):
            self._annotations.append(self._annotation(image_id, self._labels[label], mask, bool(ignored)))

    def _annotation(self, image_id: int, label: Label, mask: Any, ignored: bool) -> dict[str, Any]:
        code = self._rle.encode(np.asfortranarray(mask, np.uint8))
        return {
            "id": len(self._annotations) + 1,
            "image_id": image_id,
            "category_id": label.category_id,
            "segmentation": code,
            "area": float(self._rle.area(code)),
            "bbox": self._rle.toBbox(code).tolist(),
            "iscrowd": int(ignored),
        }

    def compute(self) -> MaskAp:
        """Score all that was added.

        Raises:
            EvaluationError: nothing was added.
        """
        if not self._images:
            raise EvaluationError("there is nothing to score: no frame was added")
        precision = self._precision()
        present = {label.name: precision[:, :, k] for k, label in enumerate(self._labels)}
        return MaskAp(
            ap=_mean(precision),
            ap50=_mean(precision[0]),
            ap75=_mean(precision[5]),
            per_class={name: _mean(part) for name, part in present.items()},
            images=len(self._images),
            instances=sum(not annotation["iscrowd"] for annotation in self._annotations),
        )

    def _precision(self) -> Any:
        """(10 IoU thresholds, 101 recalls, classes); -1 where a class has no ground truth."""
        categories = [{"id": label.category_id, "name": label.name} for label in self._labels]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = _library("coco").COCO()
            truth.dataset = {"info": {}, "images": self._images, "annotations": self._annotations, "categories": categories}
            truth.createIndex()
            if not self._results:
                found = np.array(
                    [any(a["category_id"] == label.category_id and not a["iscrowd"] for a in self._annotations) for label in self._labels]
                )
                return np.broadcast_to(np.where(found, 0.0, -1.0), (10, 101, len(self._labels)))
            evaluation = _library("cocoeval").COCOeval(truth, truth.loadRes(self._results), "segm")
            evaluation.params.catIds = [label.category_id for label in self._labels]
            evaluation.params.maxDets = [1, 10, DETECTIONS_PER_IMAGE]
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation.eval["precision"][:, :, :, 0, -1]


def _mean(precision: Any) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else float("nan")
