"""torchvision's own Mask R-CNN, eager, with the case's weights."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco

from edgeseg.errors import UsageError
from edgeseg.types import U8Array
from export.recipes.maskrcnn import RcnnRecipe

from .base import Answer, Opened, Peer, Subject


def _open(subject: Subject) -> Opened:
    detection = _detection()
    if not isinstance(subject.recipe, RcnnRecipe) or subject.recipe.name != "maskrcnn_resnet50_fpn":
        raise UsageError("the peer 'torchvision' knows the net maskrcnn_resnet50_fpn only")
    net = _net(detection, subject.recipe, subject.score)
    net.load_state_dict(subject.net.state_dict() if subject.net is not None else {})
    net.eval()

    @torch.inference_mode()
    def run(image_bgr: U8Array) -> Answer:
        planes = torch.from_numpy(image_bgr[:, :, ::-1].copy()).permute(2, 0, 1).float() / 255
        found = net([planes])[0]["masks"][:, 0] > 0.5
        codes = [coco.encode(np.asfortranarray(mask)) for mask in found.numpy().astype(np.uint8)]
        return Answer(len(codes), {})

    return Opened(run, {"torch": version("torch"), "torchvision": version("torchvision")})


def _detection() -> Any:
    try:
        return importlib.import_module("torchvision.models.detection")
    except RuntimeError as error:
        raise ImportError(f"{error}. Is it the release, and the build, that fits torch {torch.__version__}?") from error


def _net(detection: Any, recipe: RcnnRecipe, score: float) -> Any:
    """As torchvision builds it for its published weights, whose normalisation is frozen and has no epsilon."""
    frozen = importlib.import_module("torchvision.ops").FrozenBatchNorm2d
    backbone = detection.backbone_utils.resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=frozen)
    for module in backbone.modules():
        if isinstance(module, frozen):
            module.eps = recipe.norm_eps
    sizes = {"min_size": recipe.shorter, "max_size": recipe.longer}
    return detection.MaskRCNN(backbone, len(recipe.labels) + 1, box_score_thresh=score, **sizes)


TORCHVISION = Peer(
    same="net, weights, score threshold, proposals and detections, and masks as run-length code in the size of the frame",
    differs="its own code throughout: float resizing, compiled RoIAlign and suppression, every mask pasted into a picture of full size",
    needs_net=True,
    open=_open,
)
