"""FlowNet 2.0 written down as a list of steps over named weights, for pictures whose sides are multiples of 64."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.export.nets.panoptic import plain_flow as plain

State = Mapping[str, Tensor]


def flow(state: State, image: Tensor, reference: Tensor) -> Tensor:
    """Two pictures (1, 3, H, W) RGB -> (1, 2, H, W) in pixels."""
    mean = torch.stack((image, reference)).mean((0, 3, 4))[..., None, None]
    first, second = (image - mean) / 255, (reference - mean) / 255
    pair = torch.cat((first, second), 1)
    coarse = _compared(_Net(state, "flownetc"), first, second)
    for name in ("flownets_1", "flownets_2"):
        guess = F.interpolate(20 * coarse, scale_factor=4, mode="bilinear")
        moved = _moved(second, guess)
        coarse = _simple(_Net(state, name), torch.cat((pair, moved, guess / 20, _length(first - moved)), 1))
    large = (20 * coarse).repeat_interleave(4, 2).repeat_interleave(4, 3)
    small = (_small(_Net(state, "flownets_d"), pair) / 20).repeat_interleave(4, 2).repeat_interleave(4, 3)
    errors = [_length(first - _moved(second, guess)) for guess in (small, large)]
    return _fusion(_Net(state, "flownetfusion"), torch.cat((first, small, large, _length(small), _length(large), *errors), 1))


def _moved(image: Tensor, by: Tensor) -> Tensor:
    return torch.from_numpy(plain.resampled(image[0].numpy(), by[0].numpy()))[None]


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1, keepdim=True)


class _Net:
    """One of the nets: its layers by name."""

    def __init__(self, state: State, name: str) -> None:
        self.state = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}

    def linear(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], stride, weight.shape[2] // 2)

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return F.leaky_relu(self.linear(f"{name}.0", x, stride), 0.1)

    def up(self, name: str, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), 2, 1)

    def decoded(self, name: str, x: Tensor) -> Tensor:
        return F.leaky_relu(self.up(f"{name}.0", x), 0.1)


def _lower_half(net: _Net, second: Tensor, third: Tensor, smooth: bool = False) -> Tensor:
    """Maps of a quarter and of an eighth of the size -> the flow of a quarter of it."""
    fourth = net.conv("conv4_1", net.conv("conv4", third, 2))
    fifth = net.conv("conv5_1", net.conv("conv5", fourth, 2))
    x = net.conv("conv6_1", net.conv("conv6", fifth, 2))
    found = net.linear("predict_flow6", x)
    for level, skipped in ((5, fifth), (4, fourth), (3, third), (2, second)):
        x = torch.cat((skipped, net.decoded(f"deconv{level}", x), net.up(f"upsampled_flow{level + 1}_to_{level}", found)), 1)
        found = net.linear(f"predict_flow{level}", net.linear(f"inter_conv{level}.0", x) if smooth else x)
    return found


def _compared(net: _Net, first: Tensor, second: Tensor) -> Tensor:
    quarters = [net.conv("conv2", net.conv("conv1", x, 2), 2) for x in (first, second)]
    eighths = [net.conv("conv3", x, 2) for x in quarters]
    costs = torch.from_numpy(plain.correlation(eighths[0][0].numpy(), eighths[1][0].numpy(), 10, 2))[None]
    x = torch.cat((net.conv("conv_redir", eighths[0]), F.leaky_relu(costs, 0.1)), 1)
    return _lower_half(net, quarters[0], net.conv("conv3_1", x))


def _simple(net: _Net, x: Tensor) -> Tensor:
    second = net.conv("conv2", net.conv("conv1", x, 2), 2)
    return _lower_half(net, second, net.conv("conv3_1", net.conv("conv3", second, 2)))


def _small(net: _Net, x: Tensor) -> Tensor:
    half = net.conv("conv1_1", net.conv("conv1", net.conv("conv0", x), 2))
    second = net.conv("conv2_1", net.conv("conv2", half, 2))
    return _lower_half(net, second, net.conv("conv3_1", net.conv("conv3", second, 2)), smooth=True)


def _fusion(net: _Net, x: Tensor) -> Tensor:
    full = net.conv("conv0", x)
    half = net.conv("conv1_1", net.conv("conv1", full, 2))
    quarter = net.conv("conv2_1", net.conv("conv2", half, 2))
    found = net.up("upsampled_flow2_to_1", net.linear("predict_flow2", quarter))
    x = torch.cat((half, net.decoded("deconv1", quarter), found), 1)
    found = net.up("upsampled_flow1_to_0", net.linear("predict_flow1", net.linear("inter_conv1.0", x)))
    x = torch.cat((full, net.decoded("deconv0", x), found), 1)
    return net.linear("predict_flow0", net.linear("inter_conv0.0", x))
