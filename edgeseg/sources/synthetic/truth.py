"""Exact ground truth of one synthetic frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic.flow import displacement
from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import BoolArray, F32Array, F64Array, GroundTruth, I32Array, I64Array, SizeHW, U8Array

FIRST_THING = 1 << 16
"""Ids of instances in a panoptic map lie above it, those of stuff below."""


@dataclass(frozen=True, repr=False)
class Layer:
    """One object as it lies in one frame, occluded or not."""

    object_index: int
    instance_id: int
    class_id: int
    x: int
    y: int
    """Top left pixel of its window."""
    alpha: F32Array
    """float32 (h, w) in 0..1: how much of each pixel of the window it covers."""
    matrix: F64Array
    """float64 (3, 3): sprite pixels to image pixels."""
    area: float
    """Pixels of the whole object, those outside the picture too."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        return slice(self.y, self.y + self.alpha.shape[0]), slice(self.x, self.x + self.alpha.shape[1])

    @cached_property
    def mask(self) -> U8Array:
        """uint8 (h, w), 0 or 1: the pixels of which it covers at least half."""
        return (self.alpha >= 0.5).view(np.uint8)


@dataclass(frozen=True, repr=False)
class SceneTruth:
    """What is in one frame. The N instances are those with at least one visible pixel, from the farthest to the nearest."""

    instance_ids: I32Array
    """int32 (H, W): id of the instance seen at each pixel; 0 where there is none."""
    ids: I32Array
    """int32 (N,), > 0; stays with an object from entering the picture to leaving it."""
    classes: I64Array
    """int64 (N,): index into the scene's labels."""
    order: I32Array
    """int32 (N,): depth; an instance hides those of lower order."""
    boxes: F32Array
    """float32 (N, 4): x1, y1, x2, y2 of the visible mask in pixel edges (x2 is one past the last column)."""
    visible_fraction: F32Array
    """float32 (N,): visible pixels over the pixels of the whole object, those outside the picture included."""
    stuff: I32Array
    """int32 (H, W): label index of the stuff at each pixel; behind an instance, that of what it hides."""
    layers: tuple[Layer, ...]
    """N layers."""
    steps: F64Array
    """float64 (N + 1, 2, 3): image pixel now to image pixel in the next frame; the stuff first, then each instance."""

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"SceneTruth(n={len(self)}, image_hw={self.image_hw})"

    @property
    def image_hw(self) -> SizeHW:
        """(height, width) in pixels."""
        return self.instance_ids.shape[0], self.instance_ids.shape[1]

    def visible(self, k: int) -> BoolArray:
        """bool (H, W): the pixels where instance ``k`` is seen."""
        return np.asarray(self.instance_ids == self.ids[k])

    def amodal(self, k: int) -> BoolArray:
        """bool (H, W): the pixels that instance ``k`` covers, hidden or not."""
        mask = np.zeros(self.image_hw, bool)
        mask[self.layers[k].window] = self.layers[k].mask
        return mask

    def ground_truth(self, min_visible_fraction: float = 0.0) -> GroundTruth:
        """The visible instances for evaluation; those of which less than the fraction is seen are to be ignored."""
        return GroundTruth(
            classes=self.classes,
            masks=tuple(self.visible(k) for k in range(len(self))),
            ignored=self.visible_fraction < min_visible_fraction,
            image_hw=self.image_hw,
            ids=self.ids.astype(np.int64),
        )

    def panoptic(self, min_visible_fraction: float = 0.0) -> PanopticTruth:
        """The map of stuff and instances for evaluation; classes are indices into the scene's labels.

        Ids are constant over a clip: 1 + class for stuff, `FIRST_THING` + ``ids`` for instances. Instances of which less than the
        fraction is seen are void.
        """
        hidden = self.visible_fraction < min_visible_fraction
        ids = np.where(self.instance_ids > 0, FIRST_THING + self.instance_ids, 1 + self.stuff)
        ids[np.isin(self.instance_ids, self.ids[hidden])] = 0
        stuff = np.flatnonzero(np.bincount(self.stuff[self.instance_ids == 0])).tolist()
        things = zip(self.ids[~hidden].tolist(), self.classes[~hidden].tolist(), strict=True)
        segments = {1 + class_id: TruthSegment(class_id) for class_id in stuff}
        return PanopticTruth(ids, segments | {FIRST_THING + number: TruthSegment(class_id) for number, class_id in things})

    @cached_property
    def forward_flow(self) -> F32Array:
        """float32 (H, W, 2): where the surface seen at each pixel goes until the next frame, as x, y in pixels."""
        return self.flow_of(self.steps)

    def flow_of(self, steps: F64Array) -> F32Array:
        """float32 (H, W, 2): how far each pixel moves if what is seen there does its step of ``steps``, float64 (N + 1, 2, 3)."""
        height, width = self.image_hw
        flow = displacement(steps[0], slice(0, height), slice(0, width))
        for k, layer in enumerate(self.layers):
            rows, columns = layer.window
            seen = (self.instance_ids[rows, columns] == self.ids[k]).view(np.uint8)
            opencv().copyTo(displacement(steps[k + 1], rows, columns), seen, flow[rows, columns])
        return flow


def visible_boxes(rows_map: U8Array, layers: list[Layer]) -> tuple[F32Array, I32Array]:
    """Tight boxes float32 (K, 4) and pixel counts int32 (K,) of the layers in a map uint8 (H, W) that holds 1 + layer number."""
    cv2 = opencv()
    boxes, counts = np.zeros((len(layers), 4), np.float32), np.zeros(len(layers), np.int32)
    for number, layer in enumerate(layers):
        # Not cv2.compare: it takes a window of four pixels for a scalar.
        seen = (rows_map[layer.window] == number + 1).view(np.uint8)
        counts[number] = cv2.countNonZero(seen)
        x, y, width, height = cv2.boundingRect(seen)
        boxes[number] = (layer.x + x, layer.y + y, layer.x + x + width, layer.y + y + height)
    return boxes, counts
