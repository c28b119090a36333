"""The values that travel through edgeseg. All are frozen and check their shapes when made.

Images are uint8 (H, W, 3) in BGR order as OpenCV gives them. Boxes are float32 (N, 4) as x1, y1, x2, y2 in image
pixels, where the top left corner of the picture is (0, 0) and its bottom right corner is (W, H). Times are seconds of
one monotonic clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

U8Array: TypeAlias = npt.NDArray[np.uint8]
F32Array: TypeAlias = npt.NDArray[np.float32]
F64Array: TypeAlias = npt.NDArray[np.float64]
I32Array: TypeAlias = npt.NDArray[np.int32]
I64Array: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]
SizeHW: TypeAlias = tuple[int, int]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Label:
    """One class of a model. Its place in the bundle's list is the ``class_id`` of results."""

    name: str
    category_id: int
    """The data set's own id (COCO: 1..90 with gaps)."""
    is_thing: bool = True


@dataclass(frozen=True, repr=False)
class Frame:
    """One picture of a stream."""

    pixels: U8Array
    """uint8 (H, W, 3) BGR."""
    index: int = 0
    """Position in the stream, from 0; frames that a live source dropped leave gaps."""
    captured_s: float = 0.0
    """When the picture was taken or decoded, seconds of the monotonic clock."""
    stream: str = ""
    """Name of the stream; a picture's file name when the source is a folder."""
    time_s: float = 0.0
    """Presentation time within the stream, seconds from its start."""
    reconnects: int = 0
    """How often the stream was lost and connected anew before this frame: what was seen before need not be near."""

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        _require(
            self.pixels.ndim == 3 and shape[2] == 3 and min(shape) > 0 and dtype == np.uint8,
            f"a frame is uint8 (height, width, 3) in BGR order, got {dtype} {shape}",
        )

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, size={self.image_hw}, stream={self.stream!r})"

    @property
    def image_hw(self) -> SizeHW:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


class Rle(dict[str, Any]):
    """COCO compressed run-length code: ``{"size": [h, w], "counts": str}``, column-major, as pycocotools writes it."""


class Masks(Protocol):
    """N binary masks of one image, held in whatever compact form their family produces."""

    @property
    def image_hw(self) -> SizeHW: ...

    def __len__(self) -> int: ...

    def select(self, index: AnyArray) -> Masks:
        """The masks named by an integer or boolean index of shape (M,) or (N,)."""
        ...

    def crop(self, i: int) -> tuple[int, int, BoolArray]:
        """``(y, x, bool (h, w))``: mask ``i`` inside a window with its top left at (x, y); all outside is False."""
        ...

    def paste(self, i: int) -> BoolArray:
        """Mask ``i`` as bool (H, W) at image size."""
        ...

    def rle(self, i: int) -> Rle:
        """Mask ``i`` as COCO run-length code."""
        ...

    def at(self, i: int, x: F32Array, y: F32Array) -> F32Array:
        """Soft values float32 (h, w) in 0..1 of mask ``i`` at points x, y float32 (h, w) in pixels; a pixel's centre is at 0.5."""
        ...


@dataclass(frozen=True, repr=False)
class Instances:
    """N detected objects of one image, in descending score order."""

    boxes: F32Array
    """float32 (N, 4): x1, y1, x2, y2 in image pixels."""
    scores: F32Array
    """float32 (N,) in 0..1."""
    classes: I64Array
    """int64 (N,): index into the bundle's labels."""
    masks: Masks
    """N masks."""
    track_ids: I64Array
    """int64 (N,): stable id, or -1 where there is none."""
    image_hw: SizeHW
    """(height, width) of the image in pixels."""
    mask_scores: F32Array | None = None
    """float32 (N,): score times predicted mask IoU, from models that rescore masks (YOLACT++); else None."""

    def __post_init__(self) -> None:
        n = len(self.scores)
        _require(self.boxes.shape == (n, 4), f"{n} scores need boxes of shape ({n}, 4), got {self.boxes.shape}")
        for name in ("scores", "classes", "track_ids", "mask_scores"):
            column = getattr(self, name)
            _require(column is None or column.shape == (n,), f"{name} must have shape ({n},), got {np.shape(column)}")
        _require(len(self.masks) == n, f"{n} scores need {n} masks, got {len(self.masks)}")
        _require(self.masks.image_hw == self.image_hw, f"masks are for {self.masks.image_hw}, the image is {self.image_hw}")

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        return f"Instances(n={len(self)}, image_hw={self.image_hw})"

    def select(self, index: AnyArray) -> Instances:
        """The instances named by an integer or boolean index; all columns are filtered alike."""
        return Instances(
            boxes=self.boxes[index],
            scores=self.scores[index],
            classes=self.classes[index],
            masks=self.masks.select(index),
            track_ids=self.track_ids[index],
            image_hw=self.image_hw,
            mask_scores=None if self.mask_scores is None else self.mask_scores[index],
        )


@dataclass(frozen=True)
class Segment:
    """One region of a panoptic map."""

    id: int
    """Its value in the map, > 0."""
    class_id: int
    is_thing: bool
    score: float
    """Of a thing, as of an instance; 1 where the model gives none, as of stuff."""
    area: int
    """Pixels."""
    track_id: int | None = None


@dataclass(frozen=True, repr=False)
class Panoptic:
    """A map that gives every pixel to one segment."""

    ids: I32Array
    """int32 (H, W); 0 is void."""
    segments: tuple[Segment, ...]
    """From a model: things first, in descending score order, then stuff by class. The instances of the same frame are exactly its
    things, in the same order."""

    def __post_init__(self) -> None:
        _require(self.ids.ndim == 2 and self.ids.dtype == np.int32, f"ids must be int32 (H, W), got {self.ids.dtype} {self.ids.shape}")

    def __repr__(self) -> str:
        return f"Panoptic(size={self.ids.shape}, segments={len(self.segments)})"


@dataclass(frozen=True, repr=False)
class GroundTruth:
    """What is truly in one image."""

    classes: I64Array
    """int64 (N,): index into the labels."""
    masks: tuple[BoolArray, ...]
    """N visible masks, bool (H, W)."""
    ignored: BoolArray
    """bool (N,): neither wanted nor punished."""
    image_hw: SizeHW
    ids: I64Array | None = None
    """int64 (N,): the same number for the same object in all frames of a clip; None where that is not known."""

    def __post_init__(self) -> None:
        n = len(self.masks)
        _require(
            self.classes.shape == self.ignored.shape == (n,),
            f"{n} masks need {n} classes and flags, got {self.classes.shape}, {self.ignored.shape}",
        )
        _require(all(mask.shape == self.image_hw for mask in self.masks), f"masks must have the image's size {self.image_hw}")
        if self.ids is not None:
            _require(self.ids.shape == (n,), f"{n} masks need {n} ids, got {self.ids.shape}")

    def __repr__(self) -> str:
        return f"GroundTruth(n={len(self.masks)}, image_hw={self.image_hw})"


class Step(enum.Enum):
    """How much work a frame gets."""

    KEY = "key"
    """The full graph runs."""
    WARP = "warp"
    """A light graph runs on features carried from the key frame."""
    PROPAGATE = "propagate"
    """No graph runs: the last masks move along the optical flow."""
    DROP = "drop"
    """The frame is not processed."""


@dataclass(frozen=True)
class Tick:
    """What a schedule may know when it chooses the step of a frame. Plain numbers: policies stay pure."""

    frame_index: int
    since_key: int | None
    """Frames from the last key frame to this one; None before the first."""
    age_s: float = 0.0
    """How old the frame already is."""
    between: Step = Step.KEY
    """What a frame that is no key frame gets: WARP or PROPAGATE; KEY where neither can be done."""
    costs_s: Mapping[Step, float] = field(default_factory=dict)
    """What a frame of each step took lately, from its start to its result; steps that were never taken are absent."""
    shift: float = 0.0
    """How far the picture has moved since the key frame: mean displacement over the shorter image side."""
    unexplained: float = 0.0
    """Part of the picture, 0..1, that nothing in the key frame explains: uncovered, new, or past a scene cut."""
    confidence: float = 1.0
    """Mean score of the last result over that of the key frame's; 1 where nothing was found."""


@dataclass(frozen=True, repr=False)
class Result:
    """What was found in one frame. Converters: ``to_json``, ``to_coco``, ``to_supervision``."""

    frame_index: int
    step: Step
    labels: tuple[Label, ...]
    image_hw: SizeHW
    instances: Instances | None = None
    panoptic: Panoptic | None = None
    time_s: float = 0.0
    """Presentation time of the frame within its stream, seconds."""
    age_s: float = 0.0
    """From capture to result, seconds."""
    since_key: int = 0
    """Frames since the key frame that this result rests on."""
    reconnects: int = 0
    """Of the frame: how often its stream was connected anew before it."""
    spans: Mapping[str, float] = field(default_factory=dict)
    """Stage name -> seconds, in the order in which the stages ran."""

    def __repr__(self) -> str:
        return f"Result(frame={self.frame_index}, step={self.step.value}, instances={self.instances!r}, panoptic={self.panoptic!r})"

    def to_json(self) -> dict[str, Any]:
        """One line of ``--jsonl`` as a dict (docs/jsonl.md)."""
        record: dict[str, Any] = {
            "frame": self.frame_index,
            "time_s": self.time_s,
            "step": self.step.value,
            "since_key": self.since_key,
            "age_ms": self.age_s * 1e3,
            "image_size": list(self.image_hw),
            "instances": [] if self.instances is None else [self._instance_json(self.instances, i) for i in range(len(self.instances))],
        }
        if self.reconnects:
            record["reconnects"] = self.reconnects
        if self.panoptic is not None:
            record["panoptic"] = {"segments": [self._segment_json(segment) for segment in self.panoptic.segments]}
        return record

    def _segment_json(self, segment: Segment) -> dict[str, Any]:
        label = self.labels[segment.class_id]
        return {
            "id": segment.id,
            "class_id": segment.class_id,
            "category_id": label.category_id,
            "label": label.name,
            "is_thing": segment.is_thing,
            "score": segment.score,
            "area": segment.area,
            "track_id": segment.track_id,
        }

    def _instance_json(self, found: Instances, i: int) -> dict[str, Any]:
        label = self.labels[found.classes[i]]
        track_id = int(found.track_ids[i])
        record = {
            "class_id": int(found.classes[i]),
            "category_id": label.category_id,
            "label": label.name,
            "score": float(found.scores[i]),
            "box": [float(v) for v in found.boxes[i]],
            "mask": dict(found.masks.rle(i)),
            "track_id": None if track_id < 0 else track_id,
        }
        if found.mask_scores is not None:
            record["mask_score"] = float(found.mask_scores[i])
        return record

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """COCO result records (boxes as x, y, w, h in pixels). Masks use ``mask_score`` where the model gives one.

        Boxes without area are left out, as YOLACT's own evaluation does (yolact eval.py, Detections.dump).
        """
        if self.instances is None:
            return []
        return [self._instance_coco(self.instances, i, image_id) for i in range(len(self.instances)) if _has_area(self.instances.boxes[i])]

    def _instance_coco(self, found: Instances, i: int, image_id: int) -> dict[str, Any]:
        x1, y1, x2, y2 = (float(v) for v in found.boxes[i])
        scores = found.scores if found.mask_scores is None else found.mask_scores
        return {
            "image_id": image_id,
            "category_id": self.labels[found.classes[i]].category_id,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": dict(found.masks.rle(i)),
            "score": float(scores[i]),
        }

    def to_supervision(self) -> dict[str, Any]:
        """Keyword arguments of ``supervision.Detections``: ``sv.Detections(**result.to_supervision())``.

        Masks become bool (N, H, W) here: this is the one converter that holds them all at image size.
        """
        found = self.instances
        if found is None:
            return {"xyxy": np.zeros((0, 4), np.float32)}
        masks = [found.masks.paste(i) for i in range(len(found))]
        return {
            "xyxy": found.boxes,
            "mask": np.stack(masks) if masks else np.zeros((0, *self.image_hw), bool),
            "confidence": found.scores,
            "class_id": found.classes,
            "tracker_id": found.track_ids if (found.track_ids >= 0).all() and len(found) else None,
            "data": {"class_name": np.array([self.labels[c].name for c in found.classes], dtype=str)},
        }


def _has_area(box: Sequence[float] | F32Array) -> bool:
    # The product rule of the original: a box inverted on both axes counts as having area.
    return bool((box[2] - box[0]) * (box[3] - box[1]) > 0)
