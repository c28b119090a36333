"""The nets: their names, the numbers of torchvision at every stage, and that they can be trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.errors import UsageError
from export.nets.rcnn.config import BOX_CELLS, DETECTRON2, MASK_CELLS, level_sizes, padded_hw
from export.nets.rcnn.graph import RcnnGraph
from export.nets.rcnn.net import Normalise, Rcnn
from export.nets.rcnn.roi_align import RoiPooler
from export.recipes import RECIPES
from tests.export.nets.rcnn.facts import error_in_std, filled_net, golden, manifest, options_for, recipe_for, resized_picture
from tests.export.tiny import TINY_FASTER, TINY_RCNN, TINY_RCNN_D2, TINY_RCNN_V2, filled

OFFICIAL = ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2")
CASES = [
    pytest.param("maskrcnn_resnet50_fpn", "astronaut_480"),
    pytest.param("maskrcnn_resnet50_fpn", "coffee_800", marks=pytest.mark.slow),
    pytest.param("maskrcnn_resnet50_fpn_v2", "astronaut_480", marks=pytest.mark.slow),
    pytest.param("maskrcnn_resnet50_fpn_v2", "coffee_800", marks=pytest.mark.slow),
]
SWAPS = 2
"""Samples of 64 that may lie on another row: the scores of some neighbouring proposals differ by less than float32 can tell."""


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_net_has_the_official_names_and_shapes(name: str) -> None:
    """The first generation's frozen normalisations have no counter in torchvision."""
    with torch.device("meta"):
        state = RECIPES[name].build_net().state_dict()
    wanted = manifest(name)
    frozen = not any(key.endswith("num_batches_tracked") for key in wanted)

    found = {key: tuple(value.shape) for key, value in state.items() if not (frozen and key.endswith("num_batches_tracked"))}

    assert found == wanted


@pytest.mark.parametrize(("name", "eps"), [("maskrcnn_resnet50_fpn", 0.0), ("maskrcnn_resnet50_fpn_v2", 1e-5)])
def test_the_first_generation_divides_by_the_bare_variance(name: str, eps: float) -> None:
    """In every normalisation of the net."""
    with torch.device("meta"):
        net = RECIPES[name].build_net()

    assert {module.eps for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {eps}


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_stage_gives_the_numbers_of_torchvision(name: str, case: str) -> None:
    """Body, pyramid, RPN, proposals, features of RoIs, class logits and offsets, and the masks of the original's detections."""
    wanted, options = golden(name, case), options_for(name, case)
    recipe, net = recipe_for(name, options), filled_net(name)
    graph = recipe.graphs(net, options)["key"].module
    assert isinstance(graph, RcnnGraph)
    with torch.inference_mode():
        image = torch.nn.functional.pad(graph.normalise(resized_picture(case, recipe.input_hw)), graph.padding)
        body = net.backbone.body(image)
        levels = net.backbone.fpn(body)
        proposed = net.propose(levels)
        proposals = graph.proposals(proposed)
        features = graph.box_pooler(levels[:-1], proposals.boxes)
        logits, offsets = net.roi_heads.boxes(features)

    named = {"input": (image,), "body": body, "fpn": levels}
    errors = {
        f"{stage} {level}": error_in_std(wanted_level, found)
        for stage, maps in named.items()
        for level, wanted_level, found in _levels(wanted[stage], maps)
    }
    for level, (word, objectness, deltas) in enumerate(zip(proposed, wanted["rpn_objectness"], wanted["rpn_deltas"], strict=True)):
        errors[f"logits {level}"] = error_in_std(objectness, _as_map(word.logits, objectness))
        errors[f"offsets {level}"] = error_in_std(deltas, _as_map(word.offsets, deltas))
    assert max(errors.values()) < 1e-4, errors
    assert torch.cdist(torch.tensor(wanted["proposals_head"]), proposals.boxes, p=float("inf")).amin(dim=1).max() < 0.01
    for stage, found, tolerance in (
        ("proposals", proposals.boxes, 1e-4),
        ("roi_feat7", features, 1e-3),
        ("class_logits", logits, 1e-3),
        ("box_regression", offsets.flatten(1), 1e-3),
    ):
        assert _wrong_samples(wanted[stage], found, tolerance) <= SWAPS, stage
    _require_masks(wanted, net, graph, levels)


def _levels(wanted: dict, maps: tuple[Tensor, ...]) -> list[tuple[str, dict, Tensor]]:
    named = wanted if "shape" not in wanted else {"": wanted}
    return [(level, named[level], found) for level, found in zip(named, maps, strict=True)]


def _as_map(rows: Tensor, wanted: dict) -> Tensor:
    """(1, h * w * A) or (1, h * w * A, k) as torchvision has it, (1, A * k, h, w)."""
    _, channels, height, width = wanted["shape"]
    return rows.reshape(1, height, width, channels).permute(0, 3, 1, 2)


def _wrong_samples(wanted: dict, found: Tensor, tolerance: float) -> int:
    samples = found.flatten()[wanted["sample_index"]].double().numpy()
    return int((np.abs(samples - wanted["sample"]) > tolerance * wanted["std"]).sum())


def _require_masks(wanted: dict, net: Rcnn, graph: RcnnGraph, levels: tuple[Tensor, ...]) -> None:
    with torch.inference_mode():
        features = graph.mask_pooler(levels[:-1], torch.tensor(wanted["boxes_resized_frame"]))
        assert net.roi_heads.mask_head is not None
        assert net.roi_heads.mask_predictor is not None
        logits = net.roi_heads.mask_predictor(net.roi_heads.mask_head(features))
        chosen = net.roi_heads.masks(features, torch.tensor(wanted["labels"])).sigmoid()[:, None]
    assert error_in_std(wanted["roi_feat14"], features) < 1e-4
    assert error_in_std(wanted["mask_logits"], logits) < 1e-4
    assert error_in_std(wanted["mask_prob_selected"], chosen) < 1e-4


@pytest.mark.parametrize("recipe", [TINY_RCNN, TINY_RCNN_V2, TINY_FASTER, TINY_RCNN_D2], ids=lambda recipe: recipe.name)
def test_every_weight_can_be_trained(recipe: object) -> None:
    """A loss on all that the net says has a gradient in every parameter, the mask branch's included; statistics may stay frozen."""
    torch.manual_seed(0)
    net = recipe.build_net().train(recipe.norm_eps > 0)
    levels = net.features(torch.randn(2, 3, 64, 96))
    said = [value.square().mean() for word in net.propose(levels) for value in word]
    boxes = torch.tensor([[4.0, 6.0, 40.0, 50.0], [0.0, 0.0, 95.0, 63.0], [50.0, 4.0, 90.0, 60.0]])
    for picture in range(2):
        maps = [level[picture : picture + 1] for level in levels[:-1]]
        said += [value.square().mean() for value in net.roi_heads.boxes(RoiPooler(recipe, BOX_CELLS)(maps, boxes))]
        if recipe.masks:
            said.append(net.roi_heads.masks(RoiPooler(recipe, MASK_CELLS)(maps, boxes), torch.tensor([1, 2, 3])).square().mean())

    torch.stack(said).sum().backward()

    without = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_the_mask_of_a_class_is_its_channel_of_all_masks() -> None:
    """Only the filter of the class is applied."""
    net = filled(TINY_RCNN)
    features, classes = torch.randn(5, 16, 14, 14, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 3, 2, 0, 1])

    every = net.roi_heads.mask_predictor(net.roi_heads.mask_head(features))

    torch.testing.assert_close(net.roi_heads.masks(features, classes), every[torch.arange(5), classes], rtol=1e-5, atol=1e-5)


def test_normalisation_is_that_of_each_code_base() -> None:
    """The mean colour becomes zero; torchvision's white is 2.249, 2.429, 2.64 in RGB, detectron2's 255 less the mean in BGR."""
    mean, white = torch.tensor([103.53, 116.28, 123.675]).expand(1, 1, 1, 3), torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)
    unit, shifted = Normalise(TINY_RCNN), Normalise(replace(TINY_RCNN, flavour=DETECTRON2))

    assert not unit(mean).any()
    assert not shifted(mean).any()
    np.testing.assert_allclose(unit(white).flatten(), [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-6)
    np.testing.assert_allclose(shifted(white).flatten(), [151.47, 138.72, 131.325], rtol=1e-6)


def test_the_stride_of_a_block_lies_where_its_code_base_has_it() -> None:
    """In the 3x3 for torchvision, in the first 1x1 for the weights of detectron2; the maps have the same sizes."""
    for recipe, strides in ((TINY_RCNN, [1, 2]), (TINY_RCNN_D2, [2, 1])):
        net = recipe.build_net().eval()
        block = net.backbone.body.layer2[0]
        assert [block.conv1.stride[0], block.conv2.stride[0]] == strides
        assert [tuple(level.shape[2:]) for level in net.features(torch.zeros(1, 3, 64, 96))] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]


@pytest.mark.parametrize(("size_hw", "padded"), [((480, 480), (480, 480)), ((481, 1), (512, 32)), ((749, 1333), (768, 1344))])
def test_pictures_are_padded_to_multiples_of_32(size_hw: tuple[int, int], padded: tuple[int, int]) -> None:
    """And every level halves the one before, P6 rounding up."""
    rows, columns = padded[0] // 32, padded[1] // 32

    assert padded_hw(size_hw) == padded
    assert level_sizes(size_hw)[3:] == ((rows, columns), ((rows + 1) // 2, (columns + 1) // 2))


def test_a_net_needs_classes() -> None:
    """An empty list of names is refused."""
    with pytest.raises(UsageError, match="the list of class names is empty"):
        TINY_RCNN.with_labels([])
