"""The three heads: proposals from the pyramid, classes and boxes from RoIs, masks from RoIs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import BOX_CELLS, RcnnConfig

_HEAD_CONVS = 4
_RPN_STD = 0.01


def _conv(in_channels: int, channels: int, normed: bool) -> nn.Sequential:
    """3x3 and ReLU; normalised, it has no bias of its own."""
    conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=not normed)
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), relu) if normed else nn.Sequential(conv, relu)


class RpnHead(nn.Module):
    """Objectness and offsets of every anchor; one instance serves all levels."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        channels, anchors = config.fpn_channels, config.anchors_per_cell
        convs = 2 if config.normed_heads else 1
        self.conv = nn.Sequential(*(_conv(channels, channels, normed=False) for _ in range(convs)))
        self.cls_logits = nn.Conv2d(channels, anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, anchors * 4, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=_RPN_STD)
                nn.init.zeros_(module.bias)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> logits (B, h * w * A) and offsets (B, h * w * A, 4), in the order of `anchors.level_anchors`."""
        x = self.conv(level)
        logits = self.cls_logits(x).permute(0, 2, 3, 1).flatten(1)
        # Channels are anchor-major: (A, 4).
        offsets = self.bbox_pred(x).permute(0, 2, 3, 1).reshape(len(level), -1, 4)
        return logits, offsets


class LinearBoxHead(nn.Module):
    """Two linear layers."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.fc6 = nn.Linear(config.fpn_channels * BOX_CELLS**2, config.box_channels)
        self.fc7 = nn.Linear(config.box_channels, config.box_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(R, C, 7, 7) -> (R, box_channels)."""
        return self.fc7(self.fc6(features.flatten(1)).relu()).relu()


def conv_box_head(config: RcnnConfig) -> nn.Sequential:
    """Four convolutions at 0 to 3, a linear layer at 5, as the official keys number them: (R, C, 7, 7) -> (R, box_channels)."""
    channels = config.fpn_channels
    convs = [_conv(channels, channels, normed=True) for _ in range(_HEAD_CONVS)]
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(channels * BOX_CELLS**2, config.box_channels), nn.ReLU(inplace=True))


class BoxPredictor(nn.Module):
    """Class logits and offsets."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.cls_score = nn.Linear(config.box_channels, config.num_classes)
        self.bbox_pred = nn.Linear(config.box_channels, config.num_classes * 4)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(R, box_channels) -> logits (R, classes) and offsets (R, classes, 4), the background first."""
        return self.cls_score(features), self.bbox_pred(features).reshape(len(features), -1, 4)


def mask_head(config: RcnnConfig) -> nn.Sequential:
    """Four convolutions: (R, C, 14, 14) -> (R, mask_channels, 14, 14)."""
    inputs = [config.fpn_channels] + [config.mask_channels] * (_HEAD_CONVS - 1)
    return nn.Sequential(*(_conv(c, config.mask_channels, config.normed_heads) for c in inputs))


class MaskPredictor(nn.Module):
    """Twice the size, then one mask a class."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.conv5_mask = nn.ConvTranspose2d(config.mask_channels, config.mask_channels, 2, 2)
        self.relu = nn.ReLU(inplace=True)
        self.mask_fcn_logits = nn.Conv2d(config.mask_channels, config.num_classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(R, mask_channels, 14, 14) -> logits (R, classes, 28, 28), the background first."""
        logits: Tensor = self.mask_fcn_logits(self.relu(self.conv5_mask(features)))
        return logits

    def of_class(self, features: Tensor, classes: Tensor) -> Tensor:
        """Logits (R, 28, 28) of one class each, ``classes`` (R,) int64 with the background as 0: only its filter is applied."""
        x = self.relu(self.conv5_mask(features))
        filters, biases = self.mask_fcn_logits.weight.flatten(1), self.mask_fcn_logits.get_parameter("bias")
        logits = torch.matmul(filters[classes][:, None], x.flatten(2))[:, 0] + biases[classes][:, None]
        return logits.reshape(-1, *x.shape[2:])


class RoiHeads(nn.Module):
    """What is said of one RoI from its features."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.box_head = conv_box_head(config) if config.normed_heads else LinearBoxHead(config)
        self.box_predictor = BoxPredictor(config)
        self.mask_head = mask_head(config) if config.masks else None
        self.mask_predictor = MaskPredictor(config) if config.masks else None
        for part in (self.box_head, self.mask_head, self.mask_predictor):
            if part is not None:
                _initialise(part)

    def boxes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(R, C, 7, 7) -> class logits (R, classes) and offsets (R, classes, 4), the background first."""
        logits, offsets = self.box_predictor(self.box_head(features))
        return logits, offsets

    def masks(self, features: Tensor, classes: Tensor) -> Tensor:
        """(R, C, 14, 14) and classes (R,) int64 with the background as 0 -> logits (R, 28, 28) of these classes."""
        if self.mask_head is None or self.mask_predictor is None:
            raise TypeError("this net has no mask branch")
        return self.mask_predictor.of_class(self.mask_head(features), classes)


def _initialise(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
