"""The flow nets against a plain rewrite, and their graphs against them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Graph
from export.nets.panoptic.correlation import correlation
from export.nets.panoptic.flownet2 import FlowNet2
from export.nets.panoptic.flownet_parts import quartered, resampled
from export.nets.panoptic.flownets import FlowNetS
from export.to_onnx import to_onnx
from tests.build_engines import needs_rtx, require_built
from tests.export.nets.panoptic import plain_flow as plain
from tests.export.nets.panoptic import plain_flownet2
from tests.export.nets.panoptic.facts import FLOW, manifest
from tests.export.reduced import require_all_built
from tests.fill_panoptic import fill_panoptic

NETS: dict[str, Callable[[], nn.Module]] = {"flownet2": lambda: FlowNet2(width=1 / 16), "flownets": lambda: FlowNetS(width=1 / 16)}
TRACED = [pytest.param("flownet2", marks=pytest.mark.slow), "flownets", "parts"]
Trace = Callable[[str], tuple[Path, Graph]]


def _filled(name: str) -> nn.Module:
    """A narrow net whose flow is a few pixels."""
    net = NETS[name]()
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    net.load_state_dict(fill_panoptic(shapes, prefix="flownet2."))
    return net.eval()


def _pictures(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A smooth picture, and the same three pixels further to the right."""
    noise = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=torch.Generator().manual_seed(3))
    large = F.interpolate(noise, scale_factor=8, mode="bilinear")[..., :height, : width + 3] * 255
    return large[..., 3:], large[..., :-3]


class _Graph(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, reference: Tensor) -> tuple[Tensor]:
        return (self.net.quarter_flow(image, reference),)


class _Parts(nn.Module):
    """What FlowNet2 has and FlowNetS has not: one picture is moved by its cost volume's first channels."""

    def forward(self, image: Tensor, reference: Tensor) -> tuple[Tensor]:
        costs = correlation(image / 100, reference / 100, 2, step=2)
        return (torch.cat((costs, resampled(reference, costs[:, :2])), dim=1),)


def _graph(name: str) -> nn.Module:
    return _Parts() if name == "parts" else _Graph(_filled(name)).eval()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Name -> a narrow net, or parts of one, as ONNX, for pictures that a net must pad."""

    @cache
    def trace(name: str) -> tuple[Path, Graph]:
        file = tmp_path_factory.mktemp(name) / f"{name}.onnx"
        inputs = dict(zip(("image", "reference"), _pictures(64, 96), strict=True))
        return file, to_onnx(_graph(name), inputs, ["flow"], file)

    return trace


def test_names_and_shapes_are_the_official_ones() -> None:
    """All 220 of them."""
    with torch.device("meta"):
        net = FlowNet2()

    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == manifest(FLOW)


def test_resampling_is_that_of_the_loops() -> None:
    """For flows within the picture, across its edge and far outside, in 300 random pictures."""
    random = np.random.default_rng(0)

    for _ in range(300):
        height, width = (int(side) for side in random.integers(2, 6, size=2))
        image, flow = random.normal(size=(2, height, width)), random.normal(size=(2, height, width)) * random.choice([0.0, 0.5, 3.0, 30.0])
        found = resampled(torch.from_numpy(image)[None], torch.from_numpy(flow)[None])
        np.testing.assert_allclose(found[0], plain.resampled(image, flow), atol=1e-10)


def test_flownet2_is_the_plain_rewrite() -> None:
    """With flows of several pixels."""
    net = _filled("flownet2").double()
    image, reference = (x.double() for x in _pictures(64, 128))

    with torch.inference_mode():
        found = net(image, reference)
        wanted = plain_flownet2.flow(net.state_dict(), image, reference)

    assert wanted.abs().max() > 1
    np.testing.assert_allclose(found, wanted, atol=1e-8)


@pytest.mark.parametrize("name", NETS)
def test_a_padded_picture_has_the_flow_of_one_with_its_edge_repeated(name: str) -> None:
    """Sides need not be multiples of 64, and the flow has the picture's size."""
    net, pictures = _filled(name), _pictures(60, 100)
    larger = [F.pad(x, (0, 28, 0, 4), mode="replicate") for x in pictures]

    with torch.inference_mode():
        torch.testing.assert_close(net.quarter_flow(*pictures), net.quarter_flow(*larger)[..., :15, :25])
        assert net(*pictures).shape == (1, 2, 60, 100)


def test_a_quarter_is_the_mean_of_the_four_inner_pixels() -> None:
    """And counts in cells that are four pixels wide."""
    flow = torch.randn(1, 2, 8, 12, generator=torch.Generator().manual_seed(0))

    found = quartered(flow)

    wanted = flow.reshape(1, 2, 2, 4, 3, 4)[:, :, :, 1:3, :, 1:3].mean((3, 5)) / 4
    torch.testing.assert_close(found, wanted)


def test_both_flows_of_the_small_net_are_in_their_own_cells() -> None:
    """The whole flow is four times as large as the quarter, in number and in size."""
    net, pictures = _filled("flownets"), _pictures(64, 64)

    with torch.inference_mode():
        quarter, whole = net.quarter_flow(*pictures), net(*pictures)

    torch.testing.assert_close(whole, F.interpolate(quarter * 4, scale_factor=4, mode="bilinear"))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", TRACED)
def test_the_graph_computes_what_the_net_computes(traced: Trace, name: str, backend: str) -> None:
    """Of pictures that are padded inside the graph, on both backends."""
    image, reference = _pictures(64, 96)
    with torch.inference_mode():
        (wanted,) = _graph(name)(image, reference)

    with BACKENDS[backend].open(*traced(name), "fp32", 1) as session:
        found = session.run({"image": image.numpy(), "reference": reference.numpy()})["flow"]

    assert wanted.abs().max() > 0.1
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@needs_rtx
@pytest.mark.parametrize("name", TRACED)
def test_it_builds(traced: Trace, name: str) -> None:
    """As a TensorRT-RTX engine."""
    require_built(*traced(name))


@needs_rtx
@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_it_builds_in_every_precision(traced: Trace, name: str, tmp_path: Path) -> None:
    """For every generation of GPUs."""
    require_all_built(*traced(name), tmp_path)
