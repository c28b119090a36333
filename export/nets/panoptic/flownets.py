"""A flow net for small models that are trained here: FlowNetS alone, as narrow as wanted."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .flownet_parts import UNIT, normalised, padded
from .flownet_pyramids import FlowNetSimple

_QUARTER = 0.25


class FlowNetS(nn.Module):
    """The flow between two pictures by one net, with a part of the full one's channels; the calls are those of `FlowNet2`."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.net = FlowNetSimple(6, width)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Two pictures (B, 3, H, W), RGB from 0 to 255 -> the flow (B, 2, H, W) in pixels from ``image`` to ``reference``."""
        flow = self.quarter_flow(image, reference) / _QUARTER
        return F.interpolate(flow, image.shape[-2:], mode="bilinear", align_corners=False)

    def quarter_flow(self, image: Tensor, reference: Tensor) -> Tensor:
        """The flow as the net finds it: (B, 2, H/4, W/4), in cells of that size. H and W are multiples of 4."""
        height, width = image.shape[-2:]
        flow: Tensor = self.net(normalised(padded(image), padded(reference)))
        return flow[..., : height // 4, : width // 4] * (UNIT * _QUARTER)
