"""How the branch that warps key frames begins its training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nets.flow import FlowNetMini, YolactVideo
from ..nets.panoptic.flownets import FlowNetS

_SLOPE = 0.1
"""Of the leaky ReLU behind its convolutions."""


@torch.no_grad()
def begin_branch(net: YolactVideo) -> None:
    """Weights from which flow is learnt soon, and with which the branch hands the key frame's features on as they are.

    Half of the flow net's first channels begin as differences of the two frames. Without that, and with weights that let signals fade,
    hundreds of iterations pass in which no flow at all remains the best guess.
    """
    for part in (net.flow_net_pre_convs, net.flow_net):
        for conv in _convolutions(part):
            nn.init.kaiming_normal_(conv.weight, a=_SLOPE)
    _begin_with_differences(_convolutions(net.flow_net.conv1)[0].weight)
    _begin_at_identity(net.flow_net)
    for conv in _convolutions(net.spa) if net.spa is not None else []:
        nn.init.zeros_(conv.weight)


@torch.no_grad()
def begin_flow(net: FlowNetS) -> None:
    """The same start for the flow net of a panoptic model, which sees both pictures in its first convolution."""
    for conv in _convolutions(net):
        # Predictions begin near no flow.
        nn.init.normal_(conv.weight, std=1e-3) if conv.out_channels == 2 else nn.init.kaiming_normal_(conv.weight, a=_SLOPE)
    _begin_with_differences(_convolutions(net.net.conv1)[0].weight)


def _begin_with_differences(weight: Tensor) -> None:
    """Half of the channels of a first convolution, whose inputs are those of one frame and then of the other."""
    half_out, half_in = weight.shape[0] // 2, weight.shape[1] // 2
    weight[:half_out, half_in:] = -weight[:half_out, :half_in]


def _begin_at_identity(flow_net: FlowNetMini) -> None:
    """No flow, a scale of 1, nothing added."""
    for prediction in (flow_net.pred2, flow_net.pred3):
        for conv in _convolutions(prediction):
            nn.init.zeros_(conv.weight)
        nn.init.ones_(prediction.scale.bias)


def _convolutions(part: nn.Module) -> list[nn.Conv2d]:
    return [module for module in part.modules() if isinstance(module, nn.Conv2d)]
