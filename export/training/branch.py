"""How the branch that warps key frames begins its training."""

from __future__ import annotations

import torch
from torch import nn

from ..nets.flow import FlowNetMini, YolactVideo

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
    first = _convolutions(net.flow_net.conv1)[0].weight
    half_out, half_in = first.shape[0] // 2, first.shape[1] // 2
    first[:half_out, half_in:] = -first[:half_out, :half_in]
    _begin_at_identity(net.flow_net)
    for conv in _convolutions(net.spa) if net.spa is not None else []:
        nn.init.zeros_(conv.weight)


def _begin_at_identity(flow_net: FlowNetMini) -> None:
    """No flow, a scale of 1, nothing added."""
    for prediction in (flow_net.pred2, flow_net.pred3):
        for conv in _convolutions(prediction):
            nn.init.zeros_(conv.weight)
        nn.init.ones_(prediction.scale.bias)


def _convolutions(part: nn.Module) -> list[nn.Conv2d]:
    return [module for module in part.modules() if isinstance(module, nn.Conv2d)]
