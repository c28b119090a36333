"""What is said of one cell of the pyramid, or of one RoI, in both key layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..rcnn.config import BOX_CELLS
from ..rcnn.net import Proposed
from .config import PanopticConfig
from .fpn import ConvOnly

_MASK_CONVS = 4
_RPN_STD = 0.01


class UpsRpn(nn.Module):
    """Objectness and offsets of every anchor."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.conv_proposal = nn.Sequential(nn.Conv2d(config.fpn_channels, config.fpn_channels, 3, padding=1), nn.ReLU(inplace=True))
        self.cls_score = nn.Conv2d(config.fpn_channels, config.anchors_per_cell, 1)
        self.bbox_pred = nn.Conv2d(config.fpn_channels, config.anchors_per_cell * 4, 1)
        _initialise_rpn(self)

    def forward(self, level: Tensor) -> Proposed:
        """(B, C, h, w) -> (B, h * w * A) and (B, h * w * A, 4), in (y, x, anchor) order."""
        return _proposed(self.conv_proposal(level), self.cls_score, self.bbox_pred)


class VpsRpn(nn.Module):
    """Objectness and offsets of every anchor."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(config.fpn_channels, config.fpn_channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(config.fpn_channels, config.anchors_per_cell, 1)
        self.rpn_reg = nn.Conv2d(config.fpn_channels, config.anchors_per_cell * 4, 1)
        _initialise_rpn(self)

    def forward(self, level: Tensor) -> Proposed:
        """(B, C, h, w) -> (B, h * w * A) and (B, h * w * A, 4), in (y, x, anchor) order."""
        return _proposed(self.rpn_conv(level).relu(), self.rpn_cls, self.rpn_reg)


class UpsBoxHead(nn.Module):
    """Class logits and offsets."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        width = config.box_channels
        self.fc6 = nn.Sequential(nn.Linear(config.fpn_channels * BOX_CELLS**2, width), nn.ReLU(inplace=True))
        self.fc7 = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True))
        self.cls_score = nn.Linear(width, config.num_classes)
        self.bbox_pred = nn.Linear(width, config.num_classes * 4)

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 7, 7) -> (N, classes) and (N, classes, 4), the background first."""
        x = self.fc7(self.fc6(rois.flatten(1)))
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


class VpsBoxHead(nn.Module):
    """Class logits and offsets."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        width = config.box_channels
        self.fc_cls = nn.Linear(width, config.num_classes)
        self.fc_reg = nn.Linear(width, config.num_classes * 4)
        self.shared_fcs = nn.ModuleList([nn.Linear(config.fpn_channels * BOX_CELLS**2, width), nn.Linear(width, width)])

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 7, 7) -> (N, classes) and (N, classes, 4), the background first."""
        x = rois.flatten(1)
        for layer in self.shared_fcs:
            x = layer(x).relu()
        return self.fc_cls(x), self.fc_reg(x).unflatten(1, (-1, 4))


class TrackHead(nn.Module):
    """One vector per RoI, not normalised: those of one object have a large product."""

    def __init__(self, config: PanopticConfig, embedding: int) -> None:
        super().__init__()
        width = config.box_channels
        self.fcs = nn.ModuleList([nn.Linear(config.fpn_channels * BOX_CELLS**2, width), nn.Linear(width, embedding)])

    def forward(self, rois: Tensor) -> Tensor:
        """(N, C, 7, 7) -> (N, embedding)."""
        vectors: Tensor = self.fcs[1](self.fcs[0](rois.flatten(1)).relu())
        return vectors


class UpsMaskHead(nn.Module):
    """One mask a class."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        width = config.mask_channels
        self.convs = [f"mask_conv{index}" for index in range(1, _MASK_CONVS + 1)]
        for name, in_channels in zip(self.convs, _mask_inputs(config), strict=True):
            self.add_module(name, nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(inplace=True)))
        self.mask_deconv1 = nn.Sequential(nn.ConvTranspose2d(width, width, 2, 2), nn.ReLU(inplace=True))
        self.mask_score = nn.Conv2d(width, config.num_classes, 1)
        _initialise_masks(self)

    def forward(self, rois: Tensor) -> Tensor:
        """(N, C, 14, 14) -> logits (N, classes, 28, 28), the background first."""
        x = _chained(rois, [self.get_submodule(name) for name in self.convs])
        logits: Tensor = self.mask_score(self.mask_deconv1(x))
        return logits


class VpsMaskHead(nn.Module):
    """One mask a class."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        width = config.mask_channels
        self.convs = nn.ModuleList(ConvOnly(in_channels, width, 3) for in_channels in _mask_inputs(config))
        self.upsample = nn.ConvTranspose2d(width, width, 2, 2)
        self.conv_logits = nn.Conv2d(width, config.num_classes, 1)
        _initialise_masks(self)

    def forward(self, rois: Tensor) -> Tensor:
        """(N, C, 14, 14) -> logits (N, classes, 28, 28), the background first."""
        x = _chained(rois, [lambda x, conv=conv: conv(x).relu() for conv in self.convs])
        logits: Tensor = self.conv_logits(self.upsample(x).relu())
        return logits


def _proposed(x: Tensor, logits: nn.Conv2d, offsets: nn.Conv2d) -> Proposed:
    """Channels are anchor-major: (A,) and (A, 4)."""
    return Proposed(logits(x).permute(0, 2, 3, 1).flatten(1), offsets(x).permute(0, 2, 3, 1).reshape(len(x), -1, 4))


def _mask_inputs(config: PanopticConfig) -> list[int]:
    return [config.fpn_channels] + [config.mask_channels] * (_MASK_CONVS - 1)


def _chained(x: Tensor, layers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _initialise_rpn(head: nn.Module) -> None:
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=_RPN_STD)
            nn.init.zeros_(module.bias)


def _initialise_masks(head: nn.Module) -> None:
    for module in head.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
