"""The YOLACT network: trunk, pyramid, prototypes, the shared prediction head and the MaskIoU branch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import BackboneSpec, YolactConfig
from .darknet import DarkNet
from .fpn import FPN
from .mobilenetv2 import MobileNetV2
from .resnet import ResNet

_MEAN_BGR = (103.94, 116.78, 123.68)
_STD_BGR = (57.38, 57.12, 58.40)


class YolactRaw(NamedTuple):
    """What the net says before any decoding; P anchors in the order of `priors`."""

    loc: Tensor
    """(B, P, 4) box offsets."""
    conf_logits: Tensor
    """(B, P, classes incl. background) before the softmax."""
    coefficients: Tensor
    """(B, P, mask_dim) after tanh."""
    proto: Tensor
    """(B, h, w, mask_dim) prototypes after ReLU."""


class Normalise(nn.Module):
    """uint8 or float (B, H, W, 3) BGR 0..255 -> float (B, 3, H, W) RGB as the trunk was trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self, kind: Literal["resnet", "darknet"]) -> None:
        super().__init__()
        mean, std = (_MEAN_BGR, _STD_BGR) if kind == "resnet" else ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        normalised = (image.to(self.mean.dtype) - self.mean) / self.std
        return normalised[..., [2, 1, 0]].permute(0, 3, 1, 2)


class _Upsample(nn.Module):
    """Bilinear, twice the size."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _proto_net(in_channels: int, channels: int, mask_dim: int) -> nn.Sequential:
    """Convolutions at 0, 2, 4, 8 and 10, as the official keys number them."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        _Upsample(),
        nn.Identity(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, mask_dim, 1),
        nn.ReLU(inplace=True),
    )


class PredictionHead(nn.Module):
    """Boxes, class logits and mask coefficients of one pyramid level; one instance serves all levels."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        self.mask_dim = config.mask_dim
        anchors, channels = config.anchors_per_cell, config.head_channels
        self.upfeature = nn.Sequential(nn.Conv2d(config.fpn_channels, channels, 3, padding=1), nn.ReLU(inplace=True))
        self.bbox_layer = nn.Conv2d(channels, anchors * 4, 3, padding=1)
        self.conf_layer = nn.Conv2d(channels, anchors * config.num_classes, 3, padding=1)
        self.mask_layer = nn.Conv2d(channels, anchors * config.mask_dim, 3, padding=1)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, h, w) -> loc, logits, coefficients, each (B, h * w * anchors, k)."""
        x = self.upfeature(level)
        batch = x.shape[0]
        loc = self.bbox_layer(x).permute(0, 2, 3, 1).reshape(batch, -1, 4)
        logits = self.conf_layer(x).permute(0, 2, 3, 1).reshape(batch, -1, self.num_classes)
        coefficients = self.mask_layer(x).permute(0, 2, 3, 1).reshape(batch, -1, self.mask_dim).tanh()
        return loc, logits, coefficients


class MaskIoUNet(nn.Module):
    """YOLACT++: how well a soft mask fits its object, judged from the mask alone."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        channels = (1, 8, 16, 32, 64, 128)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, 2), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(channels[-1], num_labels, 1), nn.ReLU(inplace=True)]
        self.maskiou_net = nn.Sequential(*layers)

    def forward(self, masks: Tensor) -> Tensor:
        """Cropped soft masks (N, 1, h, w) at prototype size -> (N, labels) predicted IoU per class."""
        return torch.amax(self.maskiou_net(masks), dim=(2, 3))


def _backbone(spec: BackboneSpec) -> ResNet | DarkNet | MobileNetV2:
    if spec.kind == "resnet":
        return ResNet(spec.blocks, spec.selected, spec.base_width, spec.dcn_blocks, spec.dcn_interval)
    if spec.kind == "darknet":
        return DarkNet(spec.blocks, spec.selected, spec.base_width)
    return MobileNetV2(spec.selected)


class Yolact(nn.Module):
    """The whole net. Its state dict has the key names of the official YOLACT files."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = _backbone(config.backbone)
        self.fpn = FPN(self.backbone.channels, config.fpn_channels)
        self.proto_net = _proto_net(config.fpn_channels, config.proto_channels, config.mask_dim)
        self.prediction_layers = nn.ModuleList([PredictionHead(config)])
        # Part of every official file and of the training loss; inference never computes it.
        self.semantic_seg_conv = nn.Conv2d(config.fpn_channels, config.num_classes - 1, 1)
        self.maskiou_net = MaskIoUNet(config.num_classes - 1) if config.mask_iou else None
        for part in (self.fpn, self.proto_net, self.prediction_layers, self.semantic_seg_conv):
            initialise(part)

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) normalised RGB -> P3 to P7, each (B, fpn_channels, h, w)."""
        levels: tuple[Tensor, ...] = self.fpn(self.backbone(image))
        return levels

    def predict(self, levels: Sequence[Tensor]) -> YolactRaw:
        """P3 to P7 -> the raw predictions."""
        head = self.prediction_layers[0]
        loc, logits, coefficients = zip(*(head(level) for level in levels), strict=True)
        proto = self.proto_net(levels[0]).permute(0, 2, 3, 1)
        return YolactRaw(torch.cat(loc, dim=1), torch.cat(logits, dim=1), torch.cat(coefficients, dim=1), proto)

    def semantic_logits(self, levels: Sequence[Tensor]) -> Tensor:
        """P3 to P7 -> (B, labels, h, w) per-pixel class logits on P3, for the training loss."""
        logits: Tensor = self.semantic_seg_conv(levels[0])
        return logits

    def forward(self, image: Tensor) -> YolactRaw:
        """(B, 3, S, S) normalised RGB, float -> the raw predictions."""
        return self.predict(self.features(image))


def initialise(part: nn.Module) -> None:
    """Xavier weights and zero biases, as YOLACT starts its training."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
