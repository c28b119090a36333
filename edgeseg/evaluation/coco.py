"""COCO mask average precision, and the overlap of result masks with true ones, computed by pycocotools."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.errors import EvaluationError, MissingDependencyError
from edgeseg.types import BoolArray, F64Array, GroundTruth, Instances, Label, Result, SizeHW

DETECTIONS_PER_IMAGE = 100
_WHOLE = 1e10
"""An area that no object exceeds."""


def _library(name: str) -> Any:
    try:
        return importlib.import_module(f"pycocotools.{name}")
    except ImportError as error:
        raise MissingDependencyError.for_extra("pycocotools", "eval", error) from error


@dataclass(frozen=True, repr=False)
class CodedTruth:
    """Ground truth with its masks as run-length codes too, so that they are coded once for all meters."""

    truth: GroundTruth
    codes: tuple[dict[str, Any], ...]
    """COCO run-length codes. Plain dictionaries: pycocotools takes nothing derived from them."""


def coded(truth: GroundTruth | CodedTruth) -> CodedTruth:
    """The truth with coded masks; one that has them already is handed back."""
    if isinstance(truth, CodedTruth):
        return truth
    encode = _library("mask").encode
    return CodedTruth(truth, tuple(encode(np.asfortranarray(mask, np.uint8)) for mask in truth.masks))


def check_sizes(result: Result, truth: GroundTruth) -> None:
    """Raise EvaluationError unless both are of one picture size."""
    if truth.image_hw != result.image_hw:
        raise EvaluationError(
            f"result is for a picture of {result.image_hw}, ground truth for {truth.image_hw}; they do not belong together"
        )


def overlaps(found: Instances, truth: CodedTruth) -> F64Array:
    """float64 (N, M) in 0..1: mask IoU of each result with each true instance; for ignored ones, the part of the result that lies on them.

    The second is what COCO takes for crowds. Classes are not looked at.
    """
    if not len(found) or not truth.codes:
        return np.zeros((len(found), len(truth.codes)))
    codes = [dict(found.masks.rle(i)) for i in range(len(found))]
    return np.asarray(_library("mask").iou(codes, list(truth.codes), truth.truth.ignored.tolist()), np.float64)


class CocoTruth:
    """Ground truth of a data set in COCO's format: ``instances_val2017.json`` and the like."""

    def __init__(self, file: Path, labels: Sequence[Label]) -> None:
        """Read the whole file.

        Raises:
            EvaluationError: it is not such a file, or has none of the labels.
        """
        self._label_of = {label.category_id: index for index, label in enumerate(labels)}
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self._coco = _library("coco").COCO(str(file))
            self._images = {str(image["file_name"]): image for image in self._coco.dataset["images"]}
            known = {category["id"] for category in self._coco.dataset["categories"]}
        except (OSError, ValueError, LookupError, TypeError, AssertionError) as error:
            raise EvaluationError(f"{file} cannot be read as COCO annotations ({type(error).__name__}: {error})") from error
        if not known & self._label_of.keys():
            raise EvaluationError(f"{file} has none of the model's categories; are these the annotations of another data set?")

    @property
    def names(self) -> tuple[str, ...]:
        """File names of all pictures, as the data set has them."""
        return tuple(self._images)

    def of(self, name: str, image_hw: SizeHW) -> GroundTruth | None:
        """What is in the picture of a file name; None where the data set does not have it.

        Raises:
            EvaluationError: the data set says another size of it, or has an annotation without a mask.
        """
        image = self._images.get(name)
        if image is None:
            return None
        if (said := (image.get("height"), image.get("width"))) != image_hw:
            raise EvaluationError(f"{name} has {image_hw} pixels, the annotations say {said}")
        entries = [entry for entry in self._coco.imgToAnns[image["id"]] if entry["category_id"] in self._label_of]
        return GroundTruth(
            classes=np.array([self._label_of[entry["category_id"]] for entry in entries], np.int64),
            masks=tuple(self._mask(entry, name, image_hw) for entry in entries),
            ignored=np.array([bool(entry.get("iscrowd", 0)) for entry in entries], bool),
            image_hw=image_hw,
        )

    def _mask(self, entry: dict[str, Any], name: str, image_hw: SizeHW) -> BoolArray:
        outline, who = entry.get("segmentation"), f"annotation {entry['id']} of {name}"
        if isinstance(outline, dict) and outline.get("size") != list(image_hw):
            # Before it is decoded: it may say anything.
            raise EvaluationError(f"{who} has a mask of {outline.get('size')} pixels, the picture has {image_hw}")
        try:
            with warnings.catch_warnings():
                # pycocotools 2.0.11 still hands arrays to NumPy in the old way.
                warnings.simplefilter("ignore", DeprecationWarning)
                mask: BoolArray = self._coco.annToMask(entry).astype(bool)
        except Exception as error:
            # Of any kind, from its C code as well.
            told = f"{who} has no mask that can be read ({type(error).__name__}: {error})"
            raise EvaluationError(f"{told}. Masks are what is scored; boxes alone are not enough.") from error
        return mask


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

    def add(self, result: Result, truth: GroundTruth | CodedTruth) -> None:
        """Take one frame's result with what is truly there.

        Raises:
            EvaluationError: they are of different sizes.
        """
        code = coded(truth)
        there = code.truth
        check_sizes(result, there)
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": result.image_hw[0], "width": result.image_hw[1]})
        self._results.extend(result.to_coco(image_id))
        for label, mask, ignored in zip(there.classes, code.codes, there.ignored, strict=True):
            self._annotations.append(self._annotation(image_id, self._labels[label], mask, bool(ignored)))

    def _annotation(self, image_id: int, label: Label, mask: dict[str, Any], ignored: bool) -> dict[str, Any]:
        return {
            "id": len(self._annotations) + 1,
            "image_id": image_id,
            "category_id": label.category_id,
            "segmentation": mask,
            "area": float(self._rle.area(mask)),
            "bbox": self._rle.toBbox(mask).tolist(),
            "iscrowd": int(ignored),
        }

    def compute(self, frames: Collection[int] | None = None) -> MaskAp:
        """Score what was added.

        Args:
            frames: positions, from 0 in the order of adding, of the frames to score; None = all.

        Raises:
            EvaluationError: there is no frame.
        """
        part = _Part.of(self._images, self._annotations, self._results, frames)
        if not part.images:
            raise EvaluationError("there is nothing to score: no frame was added")
        precision = _precision(self._labels, part)
        present = {label.name: precision[:, :, k] for k, label in enumerate(self._labels)}
        return MaskAp(
            ap=_mean(precision),
            ap50=_mean(precision[0]),
            ap75=_mean(precision[5]),
            per_class={name: _mean(values) for name, values in present.items()},
            images=len(part.images),
            instances=sum(not annotation["iscrowd"] for annotation in part.annotations),
        )


@dataclass(frozen=True, repr=False)
class _Part:
    """The records of some frames."""

    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    results: list[dict[str, Any]]

    @classmethod
    def of(cls, images: list[Any], annotations: list[Any], results: list[Any], frames: Collection[int] | None) -> _Part:
        if frames is None:
            return cls(images, annotations, results)
        wanted = {frame + 1 for frame in frames}
        chosen = [[record for record in records if record["image_id"] in wanted] for records in (annotations, results)]
        return cls([image for image in images if image["id"] in wanted], *chosen)


def _precision(labels: Sequence[Label], part: _Part) -> Any:
    """(10 IoU thresholds, 101 recalls, classes); -1 where a class has no ground truth."""
    wanted = {annotation["category_id"] for annotation in part.annotations if not annotation["iscrowd"]}
    if not part.results:
        there = np.array([label.category_id in wanted for label in labels])
        return np.broadcast_to(np.where(there, 0.0, -1.0), (10, 101, len(labels)))
    categories = [{"id": label.category_id, "name": label.name} for label in labels]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _library("coco").COCO()
        truth.dataset = {"info": {}, "images": part.images, "annotations": part.annotations, "categories": categories}
        truth.createIndex()
        evaluation = _library("cocoeval").COCOeval(truth, truth.loadRes(part.results), "segm")
        evaluation.params.catIds = [label.category_id for label in labels]
        evaluation.params.maxDets = [1, 10, DETECTIONS_PER_IMAGE]
        # Of the usual four ranges of area only the one that holds all: the others would take three times as long again.
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, _WHOLE]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, -1]


def _mean(precision: Any) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else float("nan")
