"""The parts of Mask R-CNN and the eager peer, on a net of a few channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.eager_rcnn import EagerRcnn, compiled_select, pasted, roi_features
from benchmarks.rcnn_parts import PARTS, CutGraph, measure_parts, parts_of, write_parts
from edgeseg.families.maskrcnn import soft_mask
from edgeseg.masks import SoftMasks
from edgeseg.types import Label
from export.nets.rcnn.config import RcnnConfig
from export.nets.rcnn.graph import GraphSpec, RcnnGraph
from export.nets.rcnn.net import Rcnn
from export.nets.rcnn.roi_align import RoiPooler, level_thresholds
from export.nets.rcnn.select import DROPPED, exact_select

HW = (90, 120)
CONFIG = RcnnConfig(
    "tiny", (Label("a", 1), Label("b", 2)), blocks=(1, 1, 1, 1), base_width=8, fpn_channels=8, box_channels=16, mask_channels=8
)


@pytest.fixture(scope="module")
def graph() -> RcnnGraph:
    """A net that proposes and finds things anywhere."""
    torch.manual_seed(0)
    net = Rcnn(CONFIG).eval().requires_grad_(False)
    torch.nn.init.normal_(net.roi_heads.box_predictor.cls_score.weight, std=1.0)
    return RcnnGraph(net, GraphSpec(HW, 40, 10, "cpu")).eval()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """uint8 (1, h, w, 3)."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, *HW, 3), np.uint8))


def _boxes(count: int) -> torch.Tensor:
    random = np.random.default_rng(count)
    low = random.uniform(-10, 100, (count, 2))
    return torch.from_numpy(np.concatenate([low, low + random.uniform(1, 200, (count, 2))], axis=1).astype(np.float32))


def test_the_parts_make_up_the_graph(graph: RcnnGraph, image: torch.Tensor) -> None:
    """In the order of the table; the last gives what the graph gives, and something was found."""
    steps = list(parts_of(graph, image))

    assert tuple(part for part, _ in steps) == PARTS
    assert all(torch.equal(ours, whole) for ours, whole in zip(steps[-1][1], graph(image), strict=True))
    assert (steps[-1][1][1] > 0).any()


def test_a_cut_graph_needs_all_that_its_part_gives(graph: RcnnGraph, image: torch.Tensor) -> None:
    """Its number is the sum of the means of all tensors."""
    for part, tensors in list(parts_of(graph, image))[::3]:
        assert CutGraph(graph, part)(image)[0].item() == pytest.approx(sum(tensor.float().mean().item() for tensor in tensors), abs=1e-5)


@pytest.mark.slow
def test_cut_graphs_are_timed_in_turns(graph: RcnnGraph, image: torch.Tensor, tmp_path) -> None:
    """Every part has a share, the shares are of one whole, and all durations are kept."""
    found = measure_parts(write_parts(graph, image, tmp_path), "onnxruntime", image.numpy(), rounds=2, warm_up=1)

    assert tuple(found["parts"]) == tuple(found["cut_after"]) == PARTS
    assert {len(timing["values_ms"]) for timing in found["cut_after"].values()} == {2}
    assert sum(part["ms"] for part in found["parts"].values()) > 0


def test_the_peers_rois_are_those_of_the_graph() -> None:
    """RoIs of every level, over the border, smaller than a cell and empty."""
    levels = [torch.randn(1, 8, 128 >> k, 192 >> k, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    boxes = torch.cat([_boxes(60) * 3, torch.tensor([[3.0, 3, 3.2, 3.4], [500, 300, 560, 380], [7, 9, 7, 40]])])

    for cells in (7, 14):
        wanted = RoiPooler(CONFIG, cells)(levels, boxes)
        assert (roi_features(levels, boxes, cells, level_thresholds(CONFIG)) - wanted).abs().max() < 1e-4


def test_the_peers_suppression_is_that_of_the_graph() -> None:
    """The same boxes in the same order, as many as there are."""
    boxes, ranks = _boxes(120).reshape(3, 40, 4), torch.rand(3, 40, generator=torch.Generator().manual_seed(1))
    ranks[1, 5:] = DROPPED
    wanted = exact_select(boxes, ranks, 0.5, 100)
    real = wanted.ranks > DROPPED

    found = compiled_select(boxes, ranks, 0.5, 100)

    assert torch.equal(found.index, wanted.index[real])
    assert torch.equal(found.ranks, wanted.ranks[real])


def test_the_peers_masks_are_pasted_as_ours() -> None:
    """Inside, over the border and smaller than a pixel."""
    mask = torch.rand(28, 28, generator=torch.Generator().manual_seed(2))
    for box in ([10.2, 12.7, 60.9, 70.1], [-12.5, -7.3, 30.0, 40.0], [100.0, 60.0, 140.4, 120.8], [40.5, 40.5, 41.2, 41.4]):
        soft = pasted(mask, torch.tensor(box), (96, 128)).numpy()
        ours = SoftMasks((soft_mask(mask.numpy(), np.array(box, np.float32), (96, 128)),), (96, 128)).paste(0)
        clear = np.abs(soft - 0.5) > 1e-5
        assert np.array_equal((soft > 0.5)[clear], ours[clear])


def test_the_peer_finds_what_the_graph_finds(graph: RcnnGraph, image: torch.Tensor) -> None:
    """With as many proposals as the net has anchors, on a picture that is not resized: one code per detection."""
    whole = RcnnGraph(graph.net, GraphSpec(HW, 1000, 100, "cpu")).eval()
    count = int((whole(image)[1] > 0.05).sum())

    codes = EagerRcnn(graph.net, HW, 0.05)(image[0].numpy())

    assert len(codes) == count > 0
    assert all(tuple(code["size"]) == HW for code in codes)
