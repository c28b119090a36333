"""YolactEdge's video branch: a small flow net warps a key frame's features to a later frame (Liu et al., ICRA 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import YolactConfig
from .fpn import resized
from .yolact import Yolact, initialise

FLOW_UNIT = 8.0
"""Flow counts eighths of the coordinates in which a map reaches from -1 to 1 between the centres of its outermost cells."""
_SLOPE = 0.1


class FlowPrediction(NamedTuple):
    """How one level of the key frame becomes that of the current frame."""

    flow: Tensor
    """(B, 2, h, w): x, y in eighths of normalised coordinates, from the current frame into the key frame."""
    scale: Tensor
    """(B, C, h, w): factor after the warp."""
    bias: Tensor
    """(B, C, h, w): summand after the scale."""


def warped(features: Tensor, prediction: FlowPrediction) -> Tensor:
    """Backward warp: (B, C, h, w) of the key frame -> of the current one. What comes from outside the map is 0 before scale and bias."""
    height, width = features.shape[-2:]
    x = torch.linspace(-1, 1, width, device=features.device).expand(height, width)
    y = torch.linspace(-1, 1, height, device=features.device)[:, None].expand(height, width)
    grid = torch.stack((x, y), dim=-1) + prediction.flow.permute(0, 2, 3, 1) / FLOW_UNIT
    moved = F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return moved * prediction.scale + prediction.bias


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.LeakyReLU(_SLOPE, inplace=True))


class PreConvs(nn.Module):
    """Reduces a lateral of C3 to what the flow net compares."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(_conv(in_channels, channels))

    def forward(self, lateral: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, channels, h, w)."""
        reduced: Tensor = self.convs(lateral)
        return reduced


class PredictFlow(nn.Module):
    """Flow, scale and bias of one level, without activation."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 2, 3, padding=1, bias=False)
        self.scale = nn.Conv2d(in_channels, channels, 1)
        self.bias = nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor) -> FlowPrediction:
        """(B, in_channels, h, w) -> flow, and scale and bias for ``channels`` features."""
        return FlowPrediction(self.conv(x), self.scale(x), self.bias(x))


class FlowNetMini(nn.Module):
    """FlowNet (Dosovitskiy et al., ICCV 2015) cut down to three stages.

    The official files also hold a prediction at the size of P3, which nothing uses; it does not exist here.
    """

    def __init__(self, channels: int, encode_channels: int) -> None:
        super().__init__()
        first, second, third = (encode_channels * factor for factor in (1, 2, 4))
        joined = second + second + 2
        self.conv1 = nn.Sequential(_conv(2 * encode_channels, first), _conv(first, first))
        self.conv2 = nn.Sequential(_conv(first, second, 2), _conv(second, second))
        self.conv3 = nn.Sequential(_conv(second, third, 2), _conv(third, third))
        self.pred3 = PredictFlow(third, channels)
        self.upfeat3 = nn.Conv2d(third, second, 3, padding=1, bias=False)
        self.upflow3 = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.pred2 = PredictFlow(joined, channels)

    def forward(self, current: Tensor, key: Tensor) -> tuple[FlowPrediction, FlowPrediction]:
        """Reduced laterals of both frames, (B, encode_channels, h, w) -> what warps P4 and P5."""
        second = self.conv2(self.conv1(torch.cat((current, key), dim=1)))
        third = self.conv3(second)
        coarse: FlowPrediction = self.pred3(third)
        # The flow's values are the same at every size: its unit is relative to the map.
        upscaled = (self.upfeat3(resized(third, second)), self.upflow3(resized(coarse.flow, second)))
        return self.pred2(torch.cat((second, *upscaled), dim=1)), coarse


class SPA(nn.Module):
    """Adds to the warped maps what the current frame's lateral says of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.refine_convs = nn.ModuleList(_conv(2 * channels, channels) for _ in range(2))

    def forward(self, lateral: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The lateral (B, C, h, w) of C3 and the warped P4 and P5 -> these two, refined."""
        refined = []
        for conv, x in zip(self.refine_convs, maps, strict=True):
            # Each size comes from the one before it, not from the full one.
            lateral = resized(lateral, x)
            refined.append(x + conv(torch.cat((x, lateral), dim=1)))
        return tuple(refined)


class YolactVideo(Yolact):
    """A YOLACT whose light graph needs only the first part of its trunk (yolact_edge/yolact.py). The key names are YolactEdge's.

    A lateral is the pyramid's 1x1 convolution of C3; sums are the pyramid's maps before its 3x3 convolutions, finest first.
    """

    def __init__(self, config: YolactConfig) -> None:
        super().__init__(config)
        if config.flow is None:
            raise ValueError(f"{config.name} has no flow branch")
        self.flow_net_pre_convs = PreConvs(config.fpn_channels, config.flow.encode_channels)
        self.flow_net = FlowNetMini(config.fpn_channels, config.flow.encode_channels)
        self.spa = SPA(config.fpn_channels) if config.flow.spa else None
        for part in (self.flow_net_pre_convs, self.flow_net, self.spa):
            if part is not None:
                initialise(part)

    def key_frame(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, 3, S, S) normalised RGB -> its three sums, and its lateral."""
        laterals = self.fpn.laterals(self.backbone(image))
        return self.fpn.top_down(laterals), laterals[0]

    def lateral(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) normalised RGB -> its lateral (B, C, h, w), without the layers of the trunk behind C3."""
        lateral: Tensor = self.fpn.laterals(self.backbone(image, maps=1))[0]
        return lateral

    def predict_flow(self, lateral: Tensor, key_lateral: Tensor) -> tuple[FlowPrediction, FlowPrediction]:
        """The laterals of the current and of the key frame -> what warps P4 and P5."""
        predictions: tuple[FlowPrediction, FlowPrediction] = self.flow_net(
            self.flow_net_pre_convs(lateral), self.flow_net_pre_convs(key_lateral)
        )
        return predictions

    def warped_sums(self, predictions: Sequence[FlowPrediction], key_sums: Sequence[Tensor], lateral: Tensor) -> tuple[Tensor, ...]:
        """The current frame's three sums.

        Args:
            predictions: of P4 and P5.
            key_sums: the key frame's sums at P4 and P5; its sum at P3 is not used.
            lateral: of the current frame.
        """
        maps = tuple(warped(x, prediction) for x, prediction in zip(key_sums, predictions, strict=True))
        finest = resized(maps[0], lateral) + lateral
        return (finest, *(maps if self.spa is None else self.spa(lateral, maps)))
