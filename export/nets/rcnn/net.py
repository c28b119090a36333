"""The whole net, ready to be trained or exported: what has weights, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .config import RcnnConfig
from .heads import RoiHeads, RpnHead

_MEAN_BGR = (103.53, 116.28, 123.675)
_STD_BGR = (57.375, 57.12, 58.395)


class Proposed(NamedTuple):
    """What the RPN says of every anchor of one level."""

    logits: Tensor
    """(B, h * w * A) objectness before the sigmoid."""
    offsets: Tensor
    """(B, h * w * A, 4) dx, dy, dw, dh."""


class _Rpn(nn.Module):
    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.head = RpnHead(config)


class Rcnn(nn.Module):
    """Mask R-CNN or Faster R-CNN. Its state dict has the key names of torchvision's files.

    RoIs are cut out of the levels by `roi_align.RoiPooler`, which has no weights.
    """

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.rpn = _Rpn(config)
        self.roi_heads = RoiHeads(config)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = config.norm_eps

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) as `normalise` gives it, padded to multiples of 32 -> P2 to P6, each (B, fpn_channels, h, w)."""
        levels: tuple[Tensor, ...] = self.backbone(image)
        return levels

    def propose(self, levels: Sequence[Tensor]) -> list[Proposed]:
        """P2 to P6 -> what the RPN says of each, in the same order."""
        return [Proposed(*self.rpn.head(level)) for level in levels]


class Normalise(nn.Module):
    """uint8 or float (B, H, W, 3) BGR 0..255 -> float (B, 3, H, W) as the net was trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.rgb = config.flavour.normalisation == "rgb_unit"
        self.register_buffer("mean", torch.tensor(_MEAN_BGR), persistent=False)
        self.register_buffer("std", torch.tensor(_STD_BGR) if self.rgb else torch.ones(3), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        normalised = (image.to(self.mean.dtype) - self.mean) / self.std
        return (normalised.flip(-1) if self.rgb else normalised).permute(0, 3, 1, 2)
