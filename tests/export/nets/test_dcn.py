"""The deformable convolution against its definition, in torch and in ONNX Runtime."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edgeseg.types import F64Array
from export.nets.dcn import DeformableConv2d, OffsetConv2d, deform_conv2d
from export.to_onnx import to_onnx


def _random_layer(in_channels: int, out_channels: int, stride: int) -> DeformableConv2d:
    layer = DeformableConv2d(in_channels, out_channels, stride).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return layer


def _sample(plane: F64Array, y: float, x: float) -> float:
    """Bilinear value of a plane, zero corner by corner outside it."""
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                value += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return value


@torch.no_grad()
def _by_definition(layer: DeformableConv2d, x: F64Array) -> F64Array:
    """DCNv2 of one picture (C, H, W), tap by tap."""
    steering = layer.conv_offset_mask(torch.from_numpy(x)[None].float())[0].double().numpy()
    modulation = 1 / (1 + np.exp(-steering[18:]))
    return _summed(x, steering[:18], layer.weight.double().numpy(), layer.stride, modulation) + layer.bias.double().numpy()[:, None, None]


def _summed(x: F64Array, offset: F64Array, weight: F64Array, stride: int, modulation: F64Array | None = None) -> F64Array:
    """The sum over the taps of a 3x3 kernel (O, C, 3, 3), each moved by its offset (18, h, w) and scaled by its modulation (9, h, w)."""
    out = np.zeros((len(weight), *offset.shape[1:]))
    for tap, i, j in np.ndindex(9, *offset.shape[1:]):
        y = i * stride - 1 + tap // 3 + offset[2 * tap, i, j]
        column = j * stride - 1 + tap % 3 + offset[2 * tap + 1, i, j]
        values = np.array([_sample(plane, y, column) for plane in x])
        out[:, i, j] += weight[:, :, tap // 3, tap % 3] @ values * (1 if modulation is None else modulation[tap, i, j])
    return out


@pytest.mark.parametrize(("stride", "height", "width"), [(1, 6, 5), (2, 7, 4), (1, 1, 3)])
def test_equals_the_definition(stride: int, height: int, width: int) -> None:
    """Offsets of several cells, also far outside the map, give the sums that the definition gives."""
    torch.manual_seed(0)
    layer = _random_layer(3, 4, stride)
    x = torch.randn(1, 3, height, width)
    with torch.inference_mode():
        actual = layer(x)[0].numpy()

    np.testing.assert_allclose(actual, _by_definition(layer, x[0].double().numpy()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("stride", "height", "width"), [(1, 6, 5), (2, 7, 4), (1, 1, 3)])
def test_plain_one_equals_the_definition(stride: int, height: int, width: int) -> None:
    """DCNv1: the same sums without modulation and bias."""
    torch.manual_seed(0)
    x, weight = torch.randn(1, 3, height, width), torch.randn(4, 3, 3, 3)
    offset = 2 * torch.randn(1, 18, -(-height // stride), -(-width // stride))

    actual = deform_conv2d(x, offset, weight, stride)[0].numpy()

    np.testing.assert_allclose(actual, _summed(*(v.double().numpy() for v in (x[0], offset[0], weight)), stride), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bias", [False, True])
def test_layer_with_its_offsets_equals_the_definition(bias: bool) -> None:
    """The offsets are those of its own convolution; untrained, they are zero, and it is a plain convolution."""
    torch.manual_seed(0)
    layer = OffsetConv2d(3, 4, bias).requires_grad_(False)
    x = torch.randn(1, 3, 6, 5)
    torch.testing.assert_close(layer(x), layer.conv(x), rtol=1e-4, atol=1e-5)
    layer.conv_offset.weight.normal_()
    offset = layer.conv_offset(x)[0].double().numpy()

    wanted = _summed(x[0].double().numpy(), offset, layer.conv.weight.double().numpy(), 1)
    wanted += layer.conv.bias.double().numpy()[:, None, None] if bias else 0

    np.testing.assert_allclose(layer(x)[0].numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_starts_as_a_plain_convolution() -> None:
    """Untrained, the offsets are zero and the modulation one half everywhere."""
    layer = DeformableConv2d(3, 4).eval()
    x = torch.randn(1, 3, 5, 5)
    with torch.inference_mode():
        plain = torch.nn.functional.conv2d(x, layer.weight, padding=1)

        torch.testing.assert_close(layer(x), plain / 2, rtol=1e-4, atol=1e-5)


def test_exports_to_standard_onnx(tmp_path: Path) -> None:
    """The ONNX graph has operators of the standard domain only, and ONNX Runtime computes the same with it."""
    torch.manual_seed(0)
    layer = _random_layer(3, 4, 2)
    x = torch.randn(1, 3, 9, 8)
    with torch.inference_mode():
        expected = layer(x).numpy()
    path = tmp_path / "dcn.onnx"
    to_onnx(layer, {"x": x}, ("y",), path)
    (actual,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x.numpy()})

    nodes = onnx.load(path).graph.node
    assert {"GridSample", "MatMul"} <= {node.op_type for node in nodes}
    assert {node.domain for node in nodes} <= {"", "ai.onnx"}
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
