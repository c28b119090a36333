"""The peer: the same torch module run eagerly, with post-processing the way the original code base does it.

Steps and their order are those of YOLACT's eval.py and layers/: float resize, network, decode, Fast NMS on the priors
over the score threshold, mask assembly at prototype size, crop, full-frame bilinear upsampling of every mask,
threshold, run-length code by pycocotools.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco
from torch import Tensor

from edgeseg.ops.nms import NmsSettings
from edgeseg.types import U8Array
from export.nets.detect import cropped_masks, decode_boxes, suppressed
from export.nets.priors import priors
from export.nets.yolact import Normalise, Yolact


class EagerYolact:
    """Frame in, run-length masks out, in plain PyTorch."""

    def __init__(self, net: Yolact, score: float) -> None:
        self._net = net
        self._score = score
        self._settings = NmsSettings()
        self._normalise = Normalise(net.config.normalisation)
        self._anchors = torch.from_numpy(priors(net.config))

    @torch.inference_mode()
    def __call__(self, image_bgr: U8Array) -> list[dict[str, Any]]:
        """uint8 (H, W, 3) -> COCO run-length codes of the detections over the score."""
        size = self._net.config.size
        planes = torch.from_numpy(image_bgr).float().permute(2, 0, 1)[None]
        resized = F.interpolate(planes, (size, size), mode="bilinear", align_corners=False)
        raw = self._net(self._normalise(resized.permute(0, 2, 3, 1)))
        boxes, coefficients = self._detect(decode_boxes(raw.loc[0], self._anchors), raw.conf_logits[0].softmax(dim=1), raw.coefficients[0])
        return self._masks(raw.proto[0], coefficients, boxes, image_bgr.shape[:2])

    def _detect(self, boxes: Tensor, conf: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        foreground = conf[:, 1:]
        candidates = (foreground.amax(dim=1) > self._settings.score_threshold).nonzero()[:, 0]
        scores, order = foreground[candidates].t().sort(dim=1, descending=True)
        scores, order = scores[:, : self._settings.top_k], order[:, : self._settings.top_k]
        index = candidates[order]
        kept = ~suppressed(boxes[index], self._settings.iou_threshold)
        best, which = scores[kept].sort(descending=True)
        chosen = index[kept][which[: self._settings.max_detections]]
        chosen = chosen[best[: self._settings.max_detections] > self._score]
        return boxes[chosen], coefficients[chosen]

    def _masks(self, proto: Tensor, coefficients: Tensor, boxes: Tensor, image_hw: tuple[int, int]) -> list[dict[str, Any]]:
        if not len(boxes):
            return []
        soft = cropped_masks(proto, coefficients, boxes)
        full = F.interpolate(soft[None], image_hw, mode="bilinear", align_corners=False)[0] > 0.5
        return [coco.encode(np.asfortranarray(mask)) for mask in full.numpy().astype(np.uint8)]
