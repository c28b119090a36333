"""The peer: the same torch module run eagerly, with post-processing the way the original code base does it.

Steps and their order are those of torchvision's models/detection: float resize, network, the best anchors of each level,
suppression, RoIs cut from the one level each belongs to, suppression per class, the mask branch for what was found only,
every mask resized to its box and pasted into a picture of full size, threshold, run-length code by pycocotools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco
from torch import Tensor

from edgeseg.opencv import opencv
from edgeseg.types import SizeHW, U8Array
from export.nets.rcnn.config import BOX_CELLS, MASK_CELLS, STRIDES, padded_hw
from export.nets.rcnn.detections import Detections, DetectionSelector
from export.nets.rcnn.net import Normalise, Rcnn
from export.nets.rcnn.proposals import ProposalSelector
from export.nets.rcnn.roi_align import level_thresholds, roi_levels
from export.nets.rcnn.select import DROPPED, Selected

PROPOSALS, DETECTIONS = 1000, 100
_CORNERS = 4
"""Rows, and columns, of features that an output cell is made of: two samples, each between two of them."""
_RING = 1
_GROWTH = 30 / 28


class EagerRcnn:
    """Frame in, run-length masks out, in plain PyTorch; torchvision's flavour with masks."""

    def __init__(self, net: Rcnn, size_hw: SizeHW, score: float) -> None:
        self._net = net
        self._size_hw = size_hw
        self._score = score
        self._normalise = Normalise(net.config)
        self._thresholds = level_thresholds(net.config)
        self._proposals = ProposalSelector(net.config, size_hw, PROPOSALS, compiled_select)
        self._detections = DetectionSelector(net.config, size_hw, DETECTIONS, compiled_select)

    @torch.inference_mode()
    def __call__(self, image_bgr: U8Array) -> list[dict[str, Any]]:
        """uint8 (H, W, 3) -> COCO run-length codes of the detections over the score."""
        planes = torch.from_numpy(image_bgr).float()[None]
        resized = F.interpolate(self._normalise(planes), self._size_hw, mode="bilinear", align_corners=False)
        height, width = padded_hw(self._size_hw)
        levels = self._net.features(F.pad(resized, (0, width - self._size_hw[1], 0, height - self._size_hw[0])))
        found = self._detect(levels)
        masks = self._masks(levels, found)
        ratio = torch.tensor(image_bgr.shape[1::-1]).float() / torch.tensor(self._size_hw[::-1]).float()
        return [code(pasted(*row, image_bgr.shape[:2])) for row in zip(masks, found.boxes * ratio.repeat(2), strict=True)]

    def _detect(self, levels: Sequence[Tensor]) -> Detections:
        proposals = self._proposals(self._net.propose(levels))
        proposals = type(proposals)(*(column[proposals.valid] for column in proposals))
        features = roi_features(levels, proposals.boxes, BOX_CELLS, self._thresholds)
        found = self._detections(proposals, *self._net.roi_heads.boxes(features))
        over = found.scores > self._score
        return Detections(*(column[over] for column in found))

    def _masks(self, levels: Sequence[Tensor], found: Detections) -> Tensor:
        """(N, 28, 28) probabilities. The original computes all classes and keeps one."""
        heads = self._net.roi_heads
        features = heads.mask_head(roi_features(levels, found.boxes, MASK_CELLS, self._thresholds))
        return heads.mask_predictor(features).sigmoid()[torch.arange(len(features)), found.classes + 1]


def compiled_select(boxes: Tensor, ranks: Tensor, iou: float, count: int) -> Selected:
    """Greedy suppression group by group in OpenCV's compiled form, in place of torchvision's; gives no rows for what is not there."""
    alive = (ranks.flatten() > DROPPED).nonzero()[:, 0]
    corners, scores = boxes.flatten(0, 1)[alive], ranks.flatten()[alive]
    sized = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).double().numpy()
    groups = torch.div(alive, ranks.shape[1], rounding_mode="floor").int().numpy()
    kept = torch.as_tensor(opencv().dnn.NMSBoxesBatched(sized, scores.numpy(), groups, 0.0, iou)).long()[:count]
    return Selected(scores[kept], alive[kept])


def roi_features(levels: Sequence[Tensor], boxes: Tensor, cells: int, thresholds: Sequence[float]) -> Tensor:
    """RoIAlign with two samples a cell and axis: P2 to P5, each (1, C, h, w), and boxes (R, 4) in pixels -> (R, C, cells, cells).

    Each RoI is cut from its own level. A weighted sum of rows of features is the fastest way that plain PyTorch has:
    on the CPU it took two thirds of the time of ONNX Runtime's compiled RoiAlign on one level.
    """
    level = roi_levels(boxes, thresholds)
    channels = levels[0].shape[1]
    found = boxes.new_zeros(len(boxes), cells, cells, channels)
    for k, (features, stride) in enumerate(zip(levels, STRIDES, strict=False)):
        chosen = (level == k).nonzero()[:, 0]
        if len(chosen):
            found[chosen] = _aligned(features[0], boxes[chosen] / stride, cells)
    return found.permute(0, 3, 1, 2).contiguous()


def _aligned(features: Tensor, boxes: Tensor, cells: int) -> Tensor:
    """(C, h, w) and boxes (R, 4) in cells of it -> (R, cells, cells, C)."""
    channels, height, width = features.shape
    low = boxes[:, :2]
    size = (boxes[:, 2:] - low).clamp(min=1)
    x, weight_x = _axis(low[:, :1], size[:, :1], width, cells)
    y, weight_y = _axis(low[:, 1:], size[:, 1:], height, cells)
    index = y[:, :, None, :, None] * width + x[:, None, :, None, :]
    weight = weight_y[:, :, None, :, None] * weight_x[:, None, :, None, :]
    rows = features.permute(1, 2, 0).reshape(-1, channels)
    bags = F.embedding_bag(index.reshape(-1, _CORNERS**2), rows, per_sample_weights=weight.reshape(-1, _CORNERS**2), mode="sum")
    return bags.reshape(-1, cells, cells, channels)


def _axis(low: Tensor, size: Tensor, side: int, cells: int) -> tuple[Tensor, Tensor]:
    """Cells (R, cells, 4) int64 between which the samples of each output cell lie on one axis, and their weights."""
    position = low + size * ((torch.arange(2 * cells) + 0.5) / (2 * cells))
    inside = (position >= -1) & (position <= side)
    position = position.clamp(0, side - 1)
    before = position.floor()
    after = (before + 1).clamp(max=side - 1)
    share = position - before
    index = torch.stack([before, after], dim=-1).long()
    weight = torch.stack([1 - share, share], dim=-1) * inside[..., None] / 2
    return index.reshape(-1, cells, _CORNERS), weight.reshape(-1, cells, _CORNERS)


def pasted(mask: Tensor, box: Tensor, image_hw: SizeHW) -> Tensor:
    """A mask (28, 28) in a box (4,) of the picture, float32 (H, W)."""
    half, centre = (box[2:] - box[:2]) * 0.5 * _GROWTH, (box[2:] + box[:2]) * 0.5
    x1, y1 = (centre - half).long().tolist()
    x2, y2 = (side + 1 for side in (centre + half).long().tolist())
    grown = F.pad(mask, (_RING,) * 4)[None, None]
    values = F.interpolate(grown, (max(y2 - y1, 1), max(x2 - x1, 1)), mode="bilinear", align_corners=False)[0, 0]
    full = mask.new_zeros(image_hw)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, image_hw[1]), min(y2, image_hw[0])
    full[top:bottom, left:right] = values[top - y1 : bottom - y1, left - x1 : right - x1]
    return full


def code(soft: Tensor) -> dict[str, Any]:
    """COCO run-length code of a soft mask (H, W)."""
    found: dict[str, Any] = coco.encode(np.asfortranarray((soft > 0.5).numpy().astype(np.uint8)))
    return found
