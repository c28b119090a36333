"""The whole nets, ready to be trained or exported: what has weights, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..rcnn.backbone import Body
from ..rcnn.net import Proposed
from .config import FuseSpec, PanopticConfig
from .fpn import UpsPyramid, VpsPyramid
from .fuse import BfpTcea
from .heads import TrackHead, UpsBoxHead, UpsMaskHead, UpsRpn, VpsBoxHead, VpsMaskHead, VpsRpn
from .resnet import UpsBody
from .semantic import UpsSemantic, VpsSemantic


class UpsNet(nn.Module):
    """UPSNet. Its state dict has the key names of the published files."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.config = config
        self.resnet_backbone = UpsBody(config.blocks, config.base_width, config.deformable)
        self.fpn = UpsPyramid(self.resnet_backbone.channels, config.fpn_channels, config.gap)
        self.rpn = UpsRpn(config)
        self.rcnn = UpsBoxHead(config)
        self.mask_branch = UpsMaskHead(config)
        self.fcn_head = UpsSemantic(config)

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) as `Normalise` gives it, padded to multiples of 32 -> P2 to P6, each (B, fpn_channels, h, w)."""
        levels: tuple[Tensor, ...] = self.fpn(self.resnet_backbone(image))
        return levels

    def propose(self, levels: Sequence[Tensor]) -> list[Proposed]:
        """P2 to P6 -> what the RPN says of each, in the same order."""
        return [self.rpn(level) for level in levels]

    def boxes(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 7, 7) -> class logits (N, classes) and offsets (N, classes, 4), the background first."""
        logits, offsets = self.rcnn(rois)
        return logits, offsets

    def masks(self, rois: Tensor) -> Tensor:
        """(N, C, 14, 14) -> logits (N, classes, 28, 28), the background first."""
        logits: Tensor = self.mask_branch(rois)
        return logits

    def semantic(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P6 -> logits (B, labels, h, w) of P2's size."""
        logits: Tensor = self.fcn_head(levels[:-1])
        return logits


class VpsNet(nn.Module):
    """VPSNet, with a fuse module or a track head or both. Its state dict has the key names of the published files."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Body(config.blocks, config.base_width, stride_in_1x1=False)
        self.neck = VpsPyramid(self.backbone.channels, config.fpn_channels)
        self.extra_neck = None if config.fuse is None else BfpTcea(config.fpn_channels)
        self.panopticFPN = VpsSemantic(config)
        self.rpn_head = VpsRpn(config)
        self.bbox_head = VpsBoxHead(config)
        self.track_head = None if config.embedding is None else TrackHead(config, config.embedding)
        self.mask_head = VpsMaskHead(config)
        self.flownet2: nn.Module | None = None
        if config.fuse is not None:
            self.flownet2 = flow_net(config.fuse)

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) as `Normalise` gives it, padded to multiples of 32 -> P2 to P6, each (B, fpn_channels, h, w)."""
        levels: tuple[Tensor, ...] = self.neck(self.backbone(image))
        return levels

    def propose(self, levels: Sequence[Tensor]) -> list[Proposed]:
        """P2 to P6 -> what the RPN says of each, in the same order."""
        return [self.rpn_head(level) for level in levels]

    def boxes(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 7, 7) -> class logits (N, classes) and offsets (N, classes, 4), the background first."""
        logits, offsets = self.bbox_head(rois)
        return logits, offsets

    def masks(self, rois: Tensor) -> Tensor:
        """(N, C, 14, 14) -> logits (N, classes, 28, 28), the background first."""
        logits: Tensor = self.mask_head(rois)
        return logits

    def semantic(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P6 -> logits (B, labels, h, w) of P2's size."""
        logits: Tensor = self.panopticFPN(levels[:-1])
        return logits

    def embed(self, rois: Tensor) -> Tensor:
        """(N, C, 7, 7) of fused features -> vectors (N, embedding), not normalised."""
        if self.track_head is None:
            raise TypeError("this net has no track head")
        vectors: Tensor = self.track_head(rois)
        return vectors

    def balanced(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P6 of one frame -> what it passes on: their mean (B, fpn_channels, h, w) at P2's size."""
        return self._fuse().gather(levels)

    def fused(self, levels: Sequence[Tensor], bsf: Tensor, reference_bsf: Tensor, flow: Tensor) -> tuple[Tensor, ...]:
        """P2 to P6 with an earlier frame's features added.

        ``bsf``, ``reference_bsf``: `balanced` of both frames; ``flow`` (B, 2, h, w) from this frame to that one, in cells of P2.
        """
        levels = self._fuse()(levels, bsf, reference_bsf, flow)
        return tuple(levels)

    def flow(self, image_rgb: Tensor, reference_rgb: Tensor) -> Tensor:
        """Two pictures (B, 3, H, W), RGB 0..255 -> (B, 2, H / 4, W / 4): (x, y) in cells of that size, from the first to the second."""
        if self.flownet2 is None:
            raise TypeError("this net has no flow net")
        found: Tensor = self.flownet2.quarter_flow(image_rgb, reference_rgb)
        return found

    def _fuse(self) -> BfpTcea:
        if self.extra_neck is None:
            raise TypeError("this net has no fuse module")
        return self.extra_neck


def flow_net(spec: FuseSpec) -> nn.Module:
    """FlowNet2, or the small net that stands in its place; both have ``quarter_flow``."""
    if spec.flow_width is None:
        from .flownet2 import FlowNet2

        return FlowNet2()
    from .flownets import FlowNetS

    return FlowNetS(spec.flow_width)


class Normalise(nn.Module):
    """uint8 or float (B, H, W, 3) BGR 0..255 -> float (B, 3, H, W) as the net was trained on; padding comes after it, and is 0."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        flavour = config.flavour
        self.rgb = flavour.rgb
        self.register_buffer("mean", torch.tensor(flavour.mean_bgr), persistent=False)
        self.register_buffer("std", torch.tensor(flavour.std_bgr or (1.0, 1.0, 1.0)), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        normalised = (image.to(self.mean.dtype) - self.mean) / self.std
        return (normalised.flip(-1) if self.rgb else normalised).permute(0, 3, 1, 2)

    def rgb_of(self, normalised: Tensor) -> Tensor:
        """RGB 0..255 (B, 3, H, W) back out of a VPSNet's picture, normalised and padded: what its flow net sees. Padding is the mean."""
        return normalised * self.std.flip(0)[:, None, None] + self.mean.flip(0)[:, None, None]
