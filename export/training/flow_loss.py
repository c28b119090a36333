"""What the branch that warps key frames is trained on: the flow itself, and the features that it stands in for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..nets.flow import FLOW_UNIT
from .pairs import FlowTarget

_TINY = 1e-4
"""Keeps the slope of a root finite at 0; in cells."""


def end_point_error(flow: Tensor, target: FlowTarget) -> Tensor:
    """Mean distance in cells between predicted and true flow (Dosovitskiy et al., FlowNet, ICCV 2015), over what both frames show.

    Args:
        flow: float32 (B, 2, n, n), x, y in the network's unit.
        target: the truth at the same size.
    """
    cells = (flow - target.flow) * ((flow.shape[-1] - 1) / 2 / FLOW_UNIT)
    error = (cells.square().sum(dim=1) + _TINY**2).sqrt()
    return (error * target.weight).sum() / target.weight.sum().clamp(min=1)


def feature_error(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean over levels of the mean absolute difference, in mean absolute deviations of what is wanted. Pairs of (B, C, h, w)."""
    errors = []
    for x, truth in zip(found, wanted, strict=True):
        spread = (truth - truth.mean(dim=(0, 2, 3), keepdim=True)).abs().mean()
        errors.append((x - truth).abs().mean() / spread.clamp(min=1e-6))
    return torch.stack(errors).mean()
