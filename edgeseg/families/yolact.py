"""YOLACT and YolactEdge: prototypes and mask coefficients become instances.

The names of the graph's tensors are constants here; the exporter imports them, so the two sides cannot drift.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.families.base import Decoded
from edgeseg.geometry import Fit
from edgeseg.masks import SoftMask, SoftMasks, grid_mask
from edgeseg.ops.boxes import crop_window, descending_order, whole_pixel_boxes
from edgeseg.types import AnyArray, F32Array, Instances, SizeHW

NAME = "yolact"
BOXES = "boxes"
"""float32 (N, 4): corners in 0..1 of the network input, not clipped."""
SCORES = "scores"
"""float32 (N,): descending; -1 in rows without a detection."""
CLASSES = "classes"
"""int64 (N,): 0-based foreground class."""
COEFFICIENTS = "coefficients"
"""float32 (N, k): mask coefficients after tanh."""
PROTOTYPES = "prototypes"
"""float32 (h, w, k): after ReLU."""
MASK_IOU = "mask_iou"
"""float32 (N,): predicted mask IoU; only from YOLACT++ graphs."""

SUM4, SUM5 = "sum4", "sum5"
"""float32 (1, C, h, w): a key frame's top-down sums at P4 and P5; only from the key graph of a video model."""
REDUCED = "reduced"
"""float32 (1, c, h, w): a key frame's C3, reduced to what the flow net compares; only from the key graph of a video model."""
KEY_SUM4, KEY_SUM5, KEY_REDUCED = "key_sum4", "key_sum5", "key_reduced"
"""The same as inputs of the graph for warped frames."""


class YolactFamily:
    """Decoding as in the original's postprocess (yolact layers/output_utils.py)."""

    name = NAME
    outputs: tuple[str, ...] = (BOXES, SCORES, CLASSES, COEFFICIENTS, PROTOTYPES)
    dense: tuple[str, ...] = (PROTOTYPES,)
    # Boxes and prototypes are parts of the input; in a letterbox these would not be parts of the picture.
    fits: tuple[str, ...] = ("stretch", "same_shape")

    def configured(self, bundle: Bundle) -> YolactFamily:  # noqa: ARG002 - it has no settings
        return self

    def decode(self, outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> Decoded:
        """Instances with a score above the threshold and a box of numbers; masks stay soft at prototype size."""
        # A box that is infinite, such as reduced precision can give, is nowhere.
        kept = np.flatnonzero((outputs[SCORES] > max(score_threshold, 0.0)) & np.isfinite(outputs[BOXES]).all(axis=1))
        kept = kept[descending_order(outputs[SCORES][kept])]
        relative = outputs[BOXES][kept]
        scores = outputs[SCORES][kept]
        masks = [
            soft_mask(outputs[PROTOTYPES], coefficients, box, fit.image_hw)
            for coefficients, box in zip(outputs[COEFFICIENTS][kept], relative, strict=True)
        ]
        return Decoded(
            Instances(
                boxes=whole_pixel_boxes(relative, fit.image_hw),
                scores=scores,
                classes=outputs[CLASSES][kept].astype(np.int64),
                masks=SoftMasks(tuple(masks), fit.image_hw),
                track_ids=np.full(len(kept), -1, np.int64),
                image_hw=fit.image_hw,
                mask_scores=scores * outputs[MASK_IOU][kept] if MASK_IOU in outputs else None,
            )
        )


def soft_mask(prototypes: F32Array, coefficients: F32Array, box: F32Array, image_hw: SizeHW) -> SoftMask:
    """One mask, assembled only inside its crop window (box plus one prototype cell).

    Args:
        prototypes: float32 (h, w, k).
        coefficients: float32 (k,).
        box: float32 (4,) corners in 0..1.
        image_hw: size of the image.
    """
    height, width = prototypes.shape[:2]
    x1, x2 = crop_window(box[0], box[2], width)
    y1, y2 = crop_window(box[1], box[3], height)
    # Very negative sums overflow exp to infinity, which is the right limit: 1 / inf = 0.
    with np.errstate(over="ignore"):
        values = 1 / (1 + np.exp(-(prototypes[y1:y2, x1:x2] @ coefficients)))
    return grid_mask(values, (x1, y1), (height, width), image_hw)
