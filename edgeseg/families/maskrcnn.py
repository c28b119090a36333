"""Mask R-CNN and Faster R-CNN: boxes and small masks in the network's picture become instances.

The names of the graph's tensors are constants here; the exporter imports them, so the two sides cannot drift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.families.base import Decoded
from edgeseg.geometry import FITS, Fit
from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.ops.boxes import descending_order
from edgeseg.types import AnyArray, F32Array, I64Array, Instances, SizeHW

NAME = "maskrcnn"
DETECTRON2_NAME = "maskrcnn_d2"
BOX_ONLY_NAME = "fasterrcnn"
BOXES = "boxes"
"""float32 (N, 4): corners in pixels of the network input, clipped to it."""
SCORES = "scores"
"""float32 (N,): descending; -1 in rows without a detection."""
CLASSES = "classes"
"""int64 (N,): 0-based foreground class."""
MASKS = "masks"
"""float32 (N, 28, 28): probabilities of the row's class inside its box."""

_RING = 1
"""Zero cells around a mask before it is resized, so that it falls off to its box."""


class MaskRcnnFamily:
    """Decoding and pasting as in the original (torchvision models/detection: transform.postprocess, roi_heads.paste_masks_in_image)."""

    name = NAME
    outputs: tuple[str, ...] = (BOXES, SCORES, CLASSES, MASKS)
    dense: tuple[str, ...] = ()
    fits: tuple[str, ...] = tuple(FITS)

    def configured(self, bundle: Bundle) -> MaskRcnnFamily:  # noqa: ARG002 - it has no settings
        return self

    def decode(self, outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> Decoded:
        """Instances with a score above the threshold; masks stay soft at 28x28."""
        kept = _kept(outputs, fit, score_threshold)
        boxes = fit.boxes_to_image(outputs[BOXES][kept])
        masks = [self._mask(values, box, fit.image_hw) for values, box in zip(outputs[MASKS][kept], boxes, strict=True)]
        return _decoded(outputs, kept, fit, masks)

    def _mask(self, values: F32Array, box: F32Array, image_hw: SizeHW) -> SoftMask:
        return soft_mask(values, box, image_hw)


class Detectron2Family(MaskRcnnFamily):
    """The same with masks pasted as in detectron2 (layers/mask_ops: paste_masks_in_image)."""

    name = DETECTRON2_NAME

    def _mask(self, values: F32Array, box: F32Array, image_hw: SizeHW) -> SoftMask:
        return float_box_mask(values, box, image_hw)


class FasterRcnnFamily:
    """The same without masks: each instance's mask is its box."""

    name = BOX_ONLY_NAME
    outputs: tuple[str, ...] = (BOXES, SCORES, CLASSES)
    dense: tuple[str, ...] = ()
    fits: tuple[str, ...] = tuple(FITS)

    def configured(self, bundle: Bundle) -> FasterRcnnFamily:  # noqa: ARG002 - it has no settings
        return self

    def decode(self, outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> Decoded:
        """Instances with a score above the threshold."""
        kept = _kept(outputs, fit, score_threshold)
        boxes = fit.boxes_to_image(fit.clip_boxes(outputs[BOXES][kept]))
        return _decoded(outputs, kept, fit, [box_mask(box, fit.image_hw) for box in boxes])


def soft_mask(values: F32Array, box: F32Array, image_hw: SizeHW) -> SoftMask:
    """A mask laid over the whole pixels that its box, grown by the ring, begins and ends in.

    Args:
        values: float32 (h, w), what the mask head says inside the box.
        box: float32 (4,) corners in image pixels.
        image_hw: size of the image.
    """
    # All in float32 and in the original's order: truncation would tell a difference in the last digit.
    scale = np.float32((len(values) + 2 * _RING) / len(values))
    half = (box[2:] - box[:2]) * np.float32(0.5) * scale
    centre = (box[2:] + box[:2]) * np.float32(0.5)
    x1, y1 = (int(corner) for corner in centre - half)
    x2, y2 = (max(int(corner), low) + 1 for corner, low in zip(centre + half, (x1, y1), strict=True))
    return SoftMask(np.pad(values, _RING), (float(x1), float(y1), float(x2), float(y2)), _inside((x1, y1, x2, y2), image_hw))


def float_box_mask(values: F32Array, box: F32Array, image_hw: SizeHW) -> SoftMask:
    """A mask laid over exactly its box, with zeros around it; 0.5 itself is inside.

    Args:
        values: float32 (h, w), what the mask head says inside the box.
        box: float32 (4,) corners in image pixels, with some area.
        image_hw: size of the image.
    """
    x1, y1, x2, y2 = (float(corner) for corner in box)
    cell_x, cell_y = (x2 - x1) / values.shape[1], (y2 - y1) / values.shape[0]
    # The next number up, so that what is 0.5 lies above the threshold, which all masks share.
    padded = np.pad(np.nextafter(values, np.float32(2)), _RING)
    # A pixel whose centre is outside the box has less than half of its weight on the values.
    window = _inside((math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)), image_hw)
    return SoftMask(padded, (x1 - _RING * cell_x, y1 - _RING * cell_y, x2 + _RING * cell_x, y2 + _RING * cell_y), window)


def box_mask(box: F32Array, image_hw: SizeHW) -> SoftMask:
    """The pixels whose centres lie in a box, float32 (4,) corners in image pixels."""
    x1, y1, x2, y2 = (int(edge) for edge in np.ceil(box - np.float32(0.5)))
    window = _inside((x1, y1, x2, y2), image_hw)
    return SoftMask(np.ones((1, 1), np.float32), (float(x1), float(y1), float(max(x2, x1 + 1)), float(max(y2, y1 + 1))), window)


def _inside(rectangle: tuple[int, int, int, int], image_hw: SizeHW) -> tuple[int, int, int, int]:
    """The part of a rectangle that lies in the image; empty, in the image, where there is none."""
    height, width = image_hw
    x1, x2 = (min(max(x, 0), width) for x in rectangle[0::2])
    y1, y2 = (min(max(y, 0), height) for y in rectangle[1::2])
    return x1, y1, x2, y2


def _kept(outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> I64Array:
    """The rows above the threshold with a part in the picture, best first."""
    boxes = fit.clip_boxes(outputs[BOXES])
    kept = np.flatnonzero((outputs[SCORES] > max(score_threshold, 0.0)) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    return kept[descending_order(outputs[SCORES][kept])]


def _decoded(outputs: Mapping[str, AnyArray], kept: I64Array, fit: Fit, masks: list[SoftMask]) -> Decoded:
    return Decoded(
        Instances(
            boxes=fit.boxes_to_image(fit.clip_boxes(outputs[BOXES][kept])),
            scores=outputs[SCORES][kept],
            classes=outputs[CLASSES][kept].astype(np.int64),
            masks=SoftMasks(tuple(masks), fit.image_hw),
            track_ids=np.full(len(kept), -1, np.int64),
            image_hw=fit.image_hw,
        )
    )
