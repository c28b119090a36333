"""detectron2's flavour of the nets, part by part and as a whole, held against plain loops over numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from export.checkpoints import load_checkpoint
from export.nets.rcnn.anchors import level_anchors
from export.nets.rcnn.backbone import Body
from export.nets.rcnn.config import BOX_CELLS, DETECTRON2, MASK_CELLS, STRIDES, TORCHVISION, level_sizes
from export.nets.rcnn.detections import DetectionSelector
from export.nets.rcnn.graph import TARGETS, GraphSpec, RcnnGraph
from export.nets.rcnn.net import Normalise, Proposed, Rcnn
from export.nets.rcnn.operators import op_align
from export.nets.rcnn.proposals import Proposals, ProposalSelector
from export.nets.rcnn.roi_align import RoiPooler, RoiSampling, exact_align, grid_align, level_thresholds, roi_levels
from tests import detectron2_reference as reference
from tests.export.tiny_detectron2 import SETTINGS, TINY, state, write_pickle

SIZE = TINY.input_hw
BOXES = np.array(
    [
        (3.2, 4.7, 40.9, 33.1),
        (0, 0, 150, 84),
        (10, 10, 10, 30),
        (20.5, 7, 20.6, 7.05),
        (140, 70, 150, 84),
        (0, 0, 3, 84),
        (33.3, 2, 147.9, 6),
        (8, 8, 64, 64),
    ]
)
"""Of all levels, at the edges, without width, much smaller than a cell, and long and thin."""


@pytest.fixture(scope="module")
def picture(checkout: Path) -> np.ndarray:
    """uint8 (90, 160, 3) BGR."""
    return cv2.imread(str(checkout / "tests" / "data" / "yolact" / "astronaut.png"))[100:190, 100:260]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Rcnn:
    """The tiny net as it is loaded from a file of detectron2."""
    return load_checkpoint(write_pickle(tmp_path_factory.mktemp("d2"), state()), TINY)


@pytest.fixture(scope="module")
def segmented(picture: np.ndarray) -> list[tuple[reference.Found, np.ndarray]]:
    """What the reference finds in the picture."""
    return reference.segment(state(), picture, SIZE, SETTINGS)


def _random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_input_is_bgr_minus_the_mean(picture: np.ndarray) -> None:
    """With padding of the mean colour, which is 0 then."""
    wanted = reference.network_input(picture, SIZE)
    resized = torch.from_numpy(
        np.asarray(reference.Image.fromarray(picture).resize(SIZE[::-1], reference.Image.Resampling.BILINEAR)).copy()
    )

    found = Normalise(TINY)(resized[None])[0].numpy()

    assert np.abs(found - wanted[:, : SIZE[0], : SIZE[1]]).max() < 1e-5
    assert not wanted[:, SIZE[0] :].any()


@pytest.mark.parametrize("size_hw", [SIZE, (64, 96), (33, 160), (224, 33)])
def test_anchors_are_not_rounded_and_64_pixels_apart_on_p6(size_hw: tuple[int, int]) -> None:
    """Number by number, also where P5 has odd sides."""
    for found, side, grid, stride in zip(
        level_anchors(TINY, size_hw), TINY.anchor_sides, level_sizes(size_hw), reference.STRIDES, strict=True
    ):
        assert np.abs(found - reference.anchors(side, TINY.aspect_ratios, grid, stride)).max() < 1e-4


def test_the_body_halves_in_its_first_1x1_convolution(net: Rcnn, picture: np.ndarray) -> None:
    """C2 to C5 and the pyramid, with normalisation at an eps of 1e-5."""
    image = reference.network_input(picture, SIZE)
    plain = reference.Net(state(), SETTINGS)
    maps = plain.body(image)
    batch = torch.from_numpy(image[None].astype(np.float32))

    for found, wanted in zip(net.backbone.body(batch), maps, strict=True):
        assert np.abs(found[0].numpy() - wanted).max() < 1e-4
    for found, wanted in zip(net.features(batch), plain.pyramid(maps), strict=True):
        assert np.abs(found[0].numpy() - wanted).max() < 1e-4


def test_where_a_body_halves_changes_what_it_finds() -> None:
    """The same weights with the stride in the 3x3 convolution are another network."""
    torch.manual_seed(0)
    bodies = [Body((1, 1, 1, 1), 8, stride_in_1x1).eval() for stride_in_1x1 in (True, False)]
    bodies[1].load_state_dict(bodies[0].state_dict())
    image = torch.randn(1, 3, 64, 64)

    assert (bodies[0](image)[-1] - bodies[1](image)[-1]).abs().max() > 1e-3


def test_levels_are_chosen_with_the_eps_inside_the_logarithm() -> None:
    """For sides around every threshold, and boxes without area."""
    sides = np.concatenate([np.array([28, 56, 112, 224])[:, None] * (1 + np.array([-1e-4, -1e-6, 1e-6, 1e-4])), np.zeros((1, 4))]).ravel()
    boxes = np.stack([np.zeros_like(sides), np.zeros_like(sides), sides, sides], axis=1)

    found = roi_levels(torch.from_numpy(boxes), level_thresholds(TINY))

    assert found.tolist() == [reference.level_of(box, TINY.level_side) for box in boxes]


@pytest.mark.parametrize("align", [exact_align, op_align, grid_align], ids=lambda align: align.__name__)
@pytest.mark.parametrize("cells", [BOX_CELLS, MASK_CELLS])
@pytest.mark.parametrize("stride", STRIDES)
def test_rois_are_sampled_as_often_as_they_have_cells(align: Any, cells: int, stride: int) -> None:
    """Every form of RoIAlign gives the numbers of a loop over the samples; the static one where its samples suffice."""
    features = _random(3, 96 // stride, 160 // stride)
    boxes = BOXES
    if align is grid_align:
        asked = [np.prod(np.ceil((box[2:] - box[:2]) / stride / cells)) for box in BOXES]
        thin = [np.ceil((box[2:] - box[:2]) / stride / cells).min() for box in BOXES]
        budget = RoiSampling.of(DETECTRON2, cells).budget
        boxes = BOXES[[a <= budget and t <= int(budget**0.5) for a, t in zip(asked, thin, strict=True)]]
    found = align(
        torch.from_numpy(features)[None], torch.from_numpy(boxes.astype(np.float32)), 1 / stride, RoiSampling.of(DETECTRON2, cells)
    )

    for roi, box in zip(found.numpy(), boxes, strict=True):
        assert np.abs(roi - reference.roi_align(features, box, stride, cells)).max() < 2e-5


def test_a_pooler_reads_each_roi_from_its_level() -> None:
    """All levels at once, as the graph does it."""
    levels = [_random(2, 96 // stride, 160 // stride, seed=stride) for stride in STRIDES]
    found = RoiPooler(TINY, BOX_CELLS, exact_align)(
        [torch.from_numpy(level)[None] for level in levels], torch.from_numpy(BOXES.astype(np.float32))
    )

    for roi, box in zip(found.numpy(), BOXES, strict=True):
        level = reference.level_of(box, TINY.level_side)
        assert np.abs(roi - reference.roi_align(levels[level], box, STRIDES[level], BOX_CELLS)).max() < 2e-5


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", [20, 1000])
def test_proposals_are_ranked_by_logit_and_need_some_area_only(target: str, count: int) -> None:
    """Saturated logits keep their order; boxes thinner than torchvision's least side stay, boxes without area go."""
    grids = level_sizes(SIZE)
    random = np.random.default_rng(5)
    logits = [random.normal(20, 8, rows * columns * 3).astype(np.float32) for rows, columns in grids]
    offsets = [random.normal(0, 0.4, (len(level), 4)).astype(np.float32) for level in logits]
    for level in offsets:
        level[::7, 2] = -12.0
        level[3::11, :2] = 50.0
    starts = [reference.anchors(*args) for args in zip(TINY.anchor_sides, [TINY.aspect_ratios] * 5, grids, reference.STRIDES, strict=True)]
    moved = [np.array([reference.moved(*pair, (1, 1)) for pair in zip(*level, strict=True)]) for level in zip(starts, offsets, strict=True)]
    wanted = np.array(reference.proposals(logits, moved, SIZE, replace(SETTINGS, proposals=count)))

    given = [
        Proposed(torch.from_numpy(scores)[None], torch.from_numpy(deltas)[None]) for scores, deltas in zip(logits, offsets, strict=True)
    ]
    found = ProposalSelector(TINY, SIZE, count, TARGETS[target].select_proposals)(given)

    assert int(found.valid.sum()) == len(wanted)
    assert np.abs(found.boxes[found.valid].numpy() - wanted).max() < 1e-3
    assert (wanted[:, 2:] - wanted[:, :2]).min() < TORCHVISION.proposal_side_min


@pytest.mark.parametrize("target", TARGETS)
def test_no_detection_is_too_small(target: str) -> None:
    """Boxes thinner than torchvision's least side, and even without area, take part."""
    random = np.random.default_rng(1)
    low = random.uniform(0, 60, (60, 2))
    rois = np.concatenate([low, low + random.uniform(0, 1, (60, 2)) * random.choice([0.001, 20], (60, 2))], axis=1).astype(np.float32)
    logits, offsets = random.normal(0, 2, (60, 4)), random.normal(0, 0.5, (60, 3, 4))
    decoded = np.array(
        [[reference.moved(roi.astype(np.float64), offset, (10, 5)) for offset in row] for roi, row in zip(rois, offsets, strict=True)]
    )
    wanted = reference.detections(logits, decoded, SIZE, replace(SETTINGS, detections=100))

    background_first = torch.from_numpy(np.roll(logits, 1, axis=1).astype(np.float32))
    deltas = torch.from_numpy(np.pad(offsets, ((0, 0), (1, 0), (0, 0))).astype(np.float32))
    select = DetectionSelector(TINY, SIZE, 100, TARGETS[target].select_detections)
    found = select(Proposals(torch.from_numpy(rois), torch.ones(60, dtype=torch.bool)), background_first, deltas)

    assert int((found.scores > 0).sum()) == len(wanted)
    for entry, box, score, k in zip(wanted, found.boxes.numpy(), found.scores.tolist(), found.classes.tolist(), strict=False):
        assert (entry.k, entry.score) == (k, pytest.approx(score, abs=1e-6))
        assert np.abs(entry.box - box).max() < 1e-4
    assert min((entry.box[2:] - entry.box[:2]).min() for entry in wanted) < TORCHVISION.detection_side_min


def _run(net: Rcnn, picture: np.ndarray, target: str = "cpu") -> list[np.ndarray]:
    graph = RcnnGraph(net, GraphSpec(SIZE, SETTINGS.proposals, SETTINGS.detections, target)).eval()
    resized = np.asarray(reference.Image.fromarray(picture).resize(SIZE[::-1], reference.Image.Resampling.BILINEAR)).copy()
    with torch.inference_mode():
        return [output.numpy() for output in graph(torch.from_numpy(resized)[None])]


@pytest.mark.parametrize("target", TARGETS)
def test_the_whole_net_finds_what_the_reference_finds(net: Rcnn, picture: np.ndarray, segmented: Any, target: str) -> None:
    """From a picture to boxes, scores, classes and masks, with weights read under detectron2's names on both sides."""
    boxes, scores, classes, masks = _run(net, picture, target)

    assert (scores > 0).sum() == len(segmented) == SETTINGS.detections
    for i, (entry, mask) in enumerate(segmented):
        assert (classes[i], scores[i]) == (entry.k, pytest.approx(entry.score, abs=1e-5))
        assert np.abs(boxes[i] - entry.box).max() < 1e-3
        assert np.abs(masks[i] - mask).max() < 1e-4


@pytest.mark.parametrize("field", ["normalisation", "stride_in_1x1", "whole_anchors", "aligned", "sampling_ratio"])
def test_each_difference_from_torchvision_shows(net: Rcnn, picture: np.ndarray, field: str) -> None:
    """With torchvision's way of doing one thing, what is found differs visibly: the comparison above would see a mistake in any of them."""
    other = Rcnn(replace(TINY, flavour=replace(DETECTRON2, **{field: getattr(TORCHVISION, field)}))).eval()
    other.load_state_dict(net.state_dict())

    (boxes, scores, *_), (other_boxes, other_scores, *_) = _run(net, picture), _run(other, picture)

    assert np.abs(scores - other_scores).max() > 1e-3 or np.abs(boxes - other_boxes).max() > 0.1
