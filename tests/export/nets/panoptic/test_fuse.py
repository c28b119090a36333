"""The fuse module and its parts against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.backends import BACKENDS
from edgeseg.bundle import Graph
from export.nets.panoptic.fuse import BfpTcea, TceaFusion, strongest, warped
from export.to_onnx import to_onnx
from tests.build_engines import needs_rtx, require_built
from tests.export.nets.panoptic import plain_flow as plain
from tests.export.nets.panoptic.facts import manifest
from tests.export.reduced import require_all_built

SIZES = ((8, 24), (4, 12), (2, 6), (1, 3), (1, 2))
"""P2 to P6 of a picture of 32 x 96: P6 is half as large as P5, rounded up."""
CHANNELS = 8


def _maps(random: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(random.normal(size=shape))


def _plain(net: nn.Module) -> plain.Layers:
    return plain.Layers({name: value.numpy() for name, value in net.state_dict().items()})


def _fuse() -> BfpTcea:
    torch.manual_seed(0)
    return BfpTcea(CHANNELS).eval()


def _inputs(dtype: torch.dtype) -> dict[str, Tensor]:
    """The levels of one frame, the earlier one's features and a flow of which some leaves the map."""
    random = np.random.default_rng(1)
    maps = {f"p{number}": _maps(random, 1, CHANNELS, *size) for number, size in enumerate(SIZES, start=2)}
    maps |= {"reference": _maps(random, 1, CHANNELS, *SIZES[0]), "flow": 3 * _maps(random, 1, 2, *SIZES[0])}
    return {name: x.to(dtype) for name, x in maps.items()}


class _Graph(nn.Module):
    def __init__(self, net: BfpTcea) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        *levels, reference, flow = inputs
        return self.net(levels, self.net.gather(levels), reference, flow)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph]:
    """A small module as ONNX."""
    file = tmp_path_factory.mktemp("fuse") / "fuse.onnx"
    return file, to_onnx(_Graph(_fuse()).eval(), _inputs(torch.float32), [f"fused{level}" for level in range(2, 7)], file)


def test_names_and_shapes_are_the_official_ones() -> None:
    """Nothing is missing under ``extra_neck``, and nothing added."""
    prefix = "extra_neck."
    wanted = {name.removeprefix(prefix): shape for name, shape in manifest("vpsnet_fuse").items() if name.startswith(prefix)}

    assert {name: tuple(value.shape) for name, value in BfpTcea().state_dict().items()} == wanted


def test_a_warp_is_that_of_the_loops() -> None:
    """For flows within the map, across its edge and far outside, in 300 random maps."""
    random = np.random.default_rng(2)

    for _ in range(300):
        height, width = (int(side) for side in random.integers(2, 6, size=2))
        features, flow = _maps(random, 1, 2, height, width), _maps(random, 1, 2, height, width) * random.choice([0.0, 0.5, 3.0, 30.0])
        np.testing.assert_allclose(warped(features, flow)[0], plain.warped(features[0].numpy(), flow[0].numpy()), atol=1e-4)


def test_no_flow_blurs() -> None:
    """Half a cell out of place at the edge, right in the middle, as the official weights know it."""
    features = torch.tensor([1.0, 2.0, 4.0]).expand(1, 1, 3, 3)

    found = warped(features, torch.zeros(1, 2, 3, 3))

    torch.testing.assert_close(found[0, 0, 1], torch.tensor([0.5, 2.0, 2.0]))


def test_what_scatters_back_is_torchs_adaptive_maximum_and_that_of_the_loops() -> None:
    """For sizes that divide and that do not, larger ones included, in 300 random maps."""
    random = np.random.default_rng(3)

    for _ in range(300):
        x, size = _maps(random, 1, 2, *random.integers(1, 9, size=2)), tuple(int(side) for side in random.integers(1, 9, size=2))
        found = strongest(x, size)
        assert torch.equal(found, F.adaptive_max_pool2d(x, size))
        np.testing.assert_array_equal(found[0], plain.strongest(x[0].numpy(), size))


def test_what_is_gathered_is_the_mean_of_the_loops() -> None:
    """In 150 random pyramids, whose levels need not be halves of each other."""
    random = np.random.default_rng(4)
    net = BfpTcea(CHANNELS)

    for _ in range(150):
        sizes = [(int(height), int(width)) for height, width in random.integers(1, 7, size=(5, 2))]
        levels = [_maps(random, 1, 2, *size) for size in (max(sizes), *sizes[1:])]
        np.testing.assert_allclose(net.gather(levels)[0], plain.gathered([level[0].numpy() for level in levels]), atol=1e-12)


def test_attention_is_that_of_the_loops() -> None:
    """In 60 random pairs of maps, of even and odd sides."""
    random = np.random.default_rng(5)
    torch.manual_seed(1)
    net = TceaFusion(3).double()

    for _ in range(60):
        features, moved = _maps(random, 2, 1, 3, *random.integers(2, 7, size=2))
        found = net(features, moved).detach()
        np.testing.assert_allclose(found[0], plain.attended(_plain(net), features[0].numpy(), moved[0].numpy()), atol=1e-10)


def test_the_whole_is_that_of_the_loops() -> None:
    """From levels to levels, with a P6 that P2 is no multiple of."""
    net, inputs = _fuse().double(), _inputs(torch.float64)

    with torch.inference_mode():
        found = _Graph(net)(*inputs.values())

    *levels, reference, flow = (x[0].numpy() for x in inputs.values())
    for level, wanted in zip(found, plain.fused_levels(_plain(net), levels, reference, flow), strict=True):
        np.testing.assert_allclose(level[0], wanted, atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_graph_computes_what_the_net_computes(traced: tuple[Path, Graph], backend: str) -> None:
    """All five levels, on both backends."""
    inputs = _inputs(torch.float32)
    with torch.inference_mode():
        wanted = _Graph(_fuse())(*inputs.values())

    with BACKENDS[backend].open(*traced, "fp32", 1) as session:
        found = session.run({name: x.numpy() for name, x in inputs.items()})

    for name, level in zip(found, wanted, strict=True):
        np.testing.assert_allclose(found[name], level, atol=2e-5)


@needs_rtx
def test_it_builds(traced: tuple[Path, Graph]) -> None:
    """As a TensorRT-RTX engine."""
    require_built(*traced)


@needs_rtx
@pytest.mark.slow
def test_it_builds_in_every_precision(traced: tuple[Path, Graph], tmp_path: Path) -> None:
    """For every generation of GPUs."""
    require_all_built(*traced, tmp_path)
