"""FlowNet 2.0 (Ilg et al., CVPR 2017): the optical flow between two pictures, by a stack of nets that each improve on the one before."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flownet_parts import UNIT, channel_norm, normalised, padded, quartered, resampled
from .flownet_pyramids import FlowNetC, FlowNetFusion, FlowNetSD, FlowNetSimple

_SCALE = 4


class FlowNet2(nn.Module):
    """C, then two S which see how well the flow so far explains the picture; beside them SD; Fusion joins both.

    The key names are those of the released weights. Sides that are no multiples of 64 are padded with their edge, and the flow is cropped.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.flownetc = FlowNetC(width)
        self.flownets_1 = FlowNetSimple(width=width)
        self.flownets_2 = FlowNetSimple(width=width)
        self.flownets_d = FlowNetSD(width)
        self.flownetfusion = FlowNetFusion(width)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Two pictures (B, 3, H, W), RGB from 0 to 255 -> the flow (B, 2, H, W) in pixels from ``image`` to ``reference``."""
        height, width = image.shape[-2:]
        pair = normalised(padded(image), padded(reference))
        flow = _smooth(self.flownetc(pair) * UNIT)
        flow = _smooth(self.flownets_1(_explained(pair, flow)) * UNIT)
        large = _stepped(self.flownets_2(_explained(pair, flow)) * UNIT)
        # SD alone was trained on flows times the unit instead of divided by it.
        small = _stepped(self.flownets_d(pair) / UNIT)
        joined = (pair[:, :3], small, large, channel_norm(small), channel_norm(large), _error(pair, small), _error(pair, large))
        found: Tensor = self.flownetfusion(torch.cat(joined, dim=1))
        return found[..., :height, :width]

    def quarter_flow(self, image: Tensor, reference: Tensor) -> Tensor:
        """The flow at a quarter of the size: (B, 2, H/4, W/4), in cells of that size. H and W are multiples of 4."""
        return quartered(self(image, reference))


def _smooth(flow: Tensor) -> Tensor:
    return F.interpolate(flow, scale_factor=_SCALE, mode="bilinear", align_corners=False)


def _stepped(flow: Tensor) -> Tensor:
    return F.interpolate(flow, scale_factor=_SCALE, mode="nearest")


def _explained(pair: Tensor, flow: Tensor) -> Tensor:
    """What the next net sees, (B, 12, H, W): both pictures, the second moved to the first, the flow that moved it and what is left."""
    moved = resampled(pair[:, 3:], flow)
    return torch.cat((pair, moved, flow / UNIT, channel_norm(pair[:, :3] - moved)), dim=1)


def _error(pair: Tensor, flow: Tensor) -> Tensor:
    """(B, 1, H, W): how far the second picture, moved to the first by ``flow``, is from it."""
    return channel_norm(pair[:, :3] - resampled(pair[:, 3:], flow))
