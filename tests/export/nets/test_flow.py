"""The video nets against the original's tensors and against a plain rewrite of what the original does on warped frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.backends import BACKENDS
from edgeseg.types import AnyArray
from export.nets.config import FlowSpec
from export.nets.flow import FlowPrediction, YolactVideo, warped
from export.nets.yolact import Normalise
from export.recipes import RECIPES
from tests.export.conftest import Traced
from tests.export.nets.facts import error_in_std, filled_net, resized, video_frame, video_golden
from tests.export.tiny import TINY, TINY_VIDEO, TINY_VIDEO_MINIMAL, filled

State = Mapping[str, Tensor]
DEMO = RECIPES["yolact_demo_video"]
MAX_ERROR_IN_STD = 1e-3
"""Of a golden tensor; a fifty times smaller error is usual."""


def _official_frame(name: str, index: int) -> Tensor:
    recipe = RECIPES[name]
    return Normalise(recipe.normalisation)(resized(video_frame(index), recipe.size))


def _sums_and_heads(net: YolactVideo, sums: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """What enters the second part of the pyramid, and all that follows, under the names of the golden files."""
    levels = net.fpn.levels(sums)
    raw = net.predict(levels)
    found = {"loc": raw.loc, "conf_logits": raw.conf_logits, "conf": raw.conf_logits.softmax(-1), "mask_coeff": raw.coefficients}
    numbered = {"phase1_P": sums, "P": levels}
    return found | {"proto": raw.proto} | {f"{name}{i}": x for name, maps in numbered.items() for i, x in enumerate(maps, start=3)}


def _key_tensors(net: YolactVideo, image: Tensor) -> tuple[dict[str, Tensor], tuple[tuple[Tensor, ...], Tensor]]:
    sums, lateral = net.key_frame(image)
    maps = {f"C{i}": x for i, x in enumerate(net.backbone(image), start=3)}
    return {"input": image, "lateral3": lateral, **maps, **_sums_and_heads(net, sums)}, (sums, lateral)


def _warped_tensors(net: YolactVideo, image: Tensor, key_sums: tuple[Tensor, ...], key_lateral: Tensor) -> dict[str, Tensor]:
    lateral = net.lateral(image)
    predictions = net.predict_flow(lateral, key_lateral)
    found = {"input": image, "lateral3": lateral, "C3": net.backbone(image, maps=1)[0]}
    found |= {"pre_current": net.flow_net_pre_convs(lateral), "pre_key": net.flow_net_pre_convs(key_lateral)}
    for level, prediction, x in zip((4, 5), predictions, key_sums[1:], strict=True):
        moved = FlowPrediction(prediction.flow, torch.ones_like(x), torch.zeros_like(x))
        found |= {f"flow{level}": prediction.flow, f"scale{level}": prediction.scale, f"bias{level}": prediction.bias}
        found |= {f"warp_only{level}": warped(x, moved), f"warped{level}": warped(x, prediction)}
    return found | _sums_and_heads(net, net.warped_sums(predictions, key_sums[1:], lateral))


@pytest.mark.parametrize("name", ["yolact_edge_vid_resnet50", pytest.param("yolact_edge_vid", marks=pytest.mark.slow)])
@torch.inference_mode()
def test_tensors_match_the_original(name: str) -> None:
    """On eight frames, two of them key frames: flows, scales, biases, warped maps, sums, pyramid and raw predictions."""
    net = filled_net(RECIPES[name])
    errors: dict[str, float] = {}
    for frame in video_golden(name)["frames"]:
        image, expected = _official_frame(name, frame["frame"]), frame["tensors"]
        if frame["key"]:
            actual, carried = _key_tensors(net, image)
        else:
            actual = _warped_tensors(net, image, *carried)
        # The original also predicts a flow for P3, which it then does not use.
        assert expected.keys() - actual.keys() <= {"flow3", "scale3", "bias3"}
        errors |= {f"{frame['frame']} {key}": error_in_std(expected[key], actual[key]) for key in expected.keys() & actual.keys()}

    assert len(errors) > 200
    assert {key: error for key, error in errors.items() if not error < MAX_ERROR_IN_STD} == {}


def _conv(state: State, name: str, x: Tensor, stride: int = 1, slope: float = 1.0) -> Tensor:
    """A convolution of a state dict that keeps the size at stride 1, with LeakyReLU."""
    weight = state[f"{name}.weight"]
    y = F.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)
    return torch.where(y > 0, y, slope * y)


def _interpolation(before: int, after: int) -> Tensor:
    """(after, before): bilinear weights of one axis, pixels as areas."""
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for i in range(after):
        place = min(max((i + 0.5) * before / after - 0.5, 0.0), before - 1.0)
        low = int(place)
        matrix[i, low] += 1 - (place - low)
        matrix[i, min(low + 1, before - 1)] += place - low
    return matrix


def _resize(x: Tensor, like: Tensor) -> Tensor:
    rows, columns = (_interpolation(x.shape[axis], like.shape[axis]) for axis in (2, 3))
    return rows @ x @ columns.t()


def _plain_warp(x: Tensor, flow: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Pixel by pixel; corners outside the map count as zero."""
    _, _, height, width = x.shape
    out = torch.zeros_like(x)
    for j in range(height):
        for i in range(width):
            column = ((i * 2 / (width - 1) - 1 + float(flow[0, 0, j, i]) / 8) + 1) / 2 * (width - 1)
            row = ((j * 2 / (height - 1) - 1 + float(flow[0, 1, j, i]) / 8) + 1) / 2 * (height - 1)
            for v in (int(np.floor(row)), int(np.floor(row)) + 1):
                for u in (int(np.floor(column)), int(np.floor(column)) + 1):
                    if 0 <= v < height and 0 <= u < width:
                        out[0, :, j, i] += x[0, :, v, u] * (1 - abs(row - v)) * (1 - abs(column - u))
    return out * scale + bias


def plain_warped_sums(state: State, lateral: Tensor, key_lateral: Tensor, key4: Tensor, key5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a frame between key frames sends into the pyramid's second part, step by step in float64, as YolactEdge's code has it.

    Args:
        state: parameters under the official names; without ``spa`` entries the warped maps stay as they are.
        lateral: of the current frame.
        key_lateral: of the key frame.
        key4: the key frame's sum at P4.
        key5: the key frame's sum at P5.
    """
    state = {name: value.double() for name, value in state.items()}
    lateral, key_lateral, key4, key5 = (x.double() for x in (lateral, key_lateral, key4, key5))
    x = torch.cat([_conv(state, "flow_net_pre_convs.convs.0.0", y, slope=0.1) for y in (lateral, key_lateral)], dim=1)
    stages = []
    for stage, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2)):
        x = _conv(state, f"flow_net.{stage}.0.0", x, stride, slope=0.1)
        x = _conv(state, f"flow_net.{stage}.1.0", x, slope=0.1)
        stages.append(x)
    flow5, scale5, bias5 = (_conv(state, f"flow_net.pred3.{part}", x) for part in ("conv", "scale", "bias"))
    up = _conv(state, "flow_net.upfeat3", _resize(x, stages[1])), _conv(state, "flow_net.upflow3", _resize(flow5, stages[1]))
    x = torch.cat([stages[1], *up], dim=1)
    flow4, scale4, bias4 = (_conv(state, f"flow_net.pred2.{part}", x) for part in ("conv", "scale", "bias"))
    warped4, warped5 = _plain_warp(key4, flow4, scale4, bias4), _plain_warp(key5, flow5, scale5, bias5)
    sum3 = _resize(warped4, lateral) + lateral
    if "spa.refine_convs.0.0.weight" not in state:
        return sum3, warped4, warped5
    small = _resize(lateral, warped4)
    sum4 = warped4 + _conv(state, "spa.refine_convs.0.0", torch.cat([warped4, small], dim=1), slope=0.1)
    small = _resize(small, warped5)
    return sum3, sum4, warped5 + _conv(state, "spa.refine_convs.1.0", torch.cat([warped5, small], dim=1), slope=0.1)


def _require_plain_sums(net: YolactVideo, key: Tensor, current: Tensor) -> None:
    with torch.inference_mode():
        key_sums, key_lateral = net.key_frame(key)
        lateral = net.lateral(current)
        predictions = net.predict_flow(lateral, key_lateral)
        found = net.warped_sums(predictions, key_sums[1:], lateral)
        wanted = plain_warped_sums(net.state_dict(), lateral, key_lateral, *key_sums[1:])
    cells = [prediction.flow.abs().max() / 16 * (prediction.flow.shape[-1] - 1) for prediction in predictions]
    assert min(cells) > 0.5, "hardly anything moves"
    for actual, expected in zip(found, wanted, strict=True):
        assert float((actual - expected).abs().max() / expected.std()) < MAX_ERROR_IN_STD


@pytest.mark.parametrize("size", [96, 107, 138])
@pytest.mark.parametrize("recipe", [TINY_VIDEO, TINY_VIDEO_MINIMAL], ids=lambda recipe: recipe.name)
def test_warped_sums_are_those_of_the_plain_rewrite(recipe: Any, size: int) -> None:
    """With and without SPA, and with maps of odd sizes, whatever moves out of the map."""
    net = filled(recipe.with_size(size))
    # Small maps need larger flows for the same number of cells.
    net.flow_net.pred2.conv.weight *= 20
    net.flow_net.pred3.conv.weight *= 20
    key, current = torch.randn(2, 1, 3, size, size, generator=torch.Generator().manual_seed(0))

    _require_plain_sums(net, key, current)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolact_edge_vid_minimal", "yolact_edge_vid_resnet50"])
def test_official_warped_sums_are_those_of_the_plain_rewrite(name: str) -> None:
    """At full size, with and without SPA."""
    _require_plain_sums(filled_net(RECIPES[name]), _official_frame(name, 0), _official_frame(name, 3))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("variant", ["warp", "warp_minimal"])
def test_the_graph_gives_the_prototypes_of_the_plain_rewrite(tiny_graph: Callable[[str], Traced], variant: str, backend: str) -> None:
    """From the frame and what is carried to the prototypes, on both backends."""
    traced = tiny_graph(variant)
    net = traced.module.module.net
    before, after = (torch.from_numpy(_small_frame(traced, index)) for index in (0, 5))
    with torch.inference_mode():
        normalise = traced.module.module.normalise
        key_sums, key_lateral = net.key_frame(normalise(before))
        sums = plain_warped_sums(net.state_dict(), net.lateral(normalise(after)), key_lateral, *key_sums[1:])
        wanted = net.predict(net.fpn.levels([x.float() for x in sums])).proto[0].numpy()
        carried = (*key_sums[1:], net.flow_net_pre_convs(key_lateral))

    with BACKENDS[backend].open(traced.file, traced.graph, "fp32", 1) as session:
        given = zip(traced.module.inputs, (after, *carried), strict=True)
        found = session.run({name: tensor.numpy() for name, tensor in given})["prototypes"]

    assert np.abs(found - wanted).max() < MAX_ERROR_IN_STD * wanted.std()


def _small_frame(traced: Traced, index: int) -> AnyArray:
    return traced.input.place((448, 448)).apply(video_frame(index), traced.input.dtype)


def test_a_warp_looks_up_the_key_frame_where_the_flow_points() -> None:
    """One cell to the right and half a cell down, in eighths of normalised coordinates; zero from outside, then scale and bias."""
    features = torch.tensor([[[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]]])
    flow = torch.empty(1, 2, 2, 3)
    flow[:, 0], flow[:, 1] = 8 * 2 / (3 - 1), 8 * 2 / (2 - 1) / 2

    found = warped(features, FlowPrediction(flow, torch.full_like(features, 10.0), torch.full_like(features, 1.0)))

    torch.testing.assert_close(found, 10 * torch.tensor([[[[9.0, 18.0, 0.0], [8.0, 16.0, 0.0]]]]) + 1)


def test_a_warped_frame_runs_no_trunk_behind_c3() -> None:
    """Neither the deeper stages nor their laterals are called for it."""
    net = filled(TINY_VIDEO)
    called: list[object] = []
    for part in (*net.backbone.layers, *net.fpn.lat_layers):
        part.register_forward_hook(lambda module, *_: called.append(module))

    net.lateral(torch.randn(1, 3, 96, 96))

    assert called == [net.backbone.layers[0], net.backbone.layers[1], net.fpn.lat_layers[2]]


def test_training_reaches_every_parameter_of_the_branch() -> None:
    """The warped frame's sums depend on all of the flow net, the convolutions before it and SPA."""
    net = DEMO.with_size(64).build_net().train()
    key, current = torch.randn(2, 2, 3, 64, 64)
    key_sums, key_lateral = net.key_frame(key)
    lateral = net.lateral(current)
    sums = net.warped_sums(net.predict_flow(lateral, key_lateral), key_sums[1:], lateral)
    torch.stack([x.square().mean() for x in sums]).sum().backward()

    branch = ("flow_net.", "flow_net_pre_convs.", "spa.")
    assert [name for name, p in net.named_parameters() if name.startswith(branch) and p.grad is None] == []


def test_an_image_model_has_no_flow_branch() -> None:
    """Its net is the plain one, and cannot be built as a video net."""
    assert not any(name.startswith(("flow_net", "spa")) for name in TINY.build_net().state_dict())
    with pytest.raises(ValueError, match="tiny has no flow branch"):
        YolactVideo(TINY)


def test_the_branch_may_be_narrow() -> None:
    """Its first stage has as many channels as the recipe says, whatever the pyramid has."""
    net = replace(TINY, flow=FlowSpec(encode_channels=4)).build_net()

    assert tuple(net.flow_net.conv1[0][0].weight.shape) == (4, 8, 3, 3)
    assert tuple(net.flow_net.pred2.scale.weight.shape) == (TINY.fpn_channels, 18, 1, 1)
