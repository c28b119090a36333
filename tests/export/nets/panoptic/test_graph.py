"""The graphs of small UPSNets and VPSNets in torch: their parts against the net's, both targets, and nothing to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeseg.families.base import FUSE, KEY
from edgeseg.families.panoptic import BSF, CARRIED_IMAGE, EMBEDDINGS, REFERENCE_BSF, REFERENCE_IMAGE
from edgeseg.types import AnyArray, F64Array
from export.nets.panoptic.anchors import level_anchors
from export.nets.panoptic.boxes import with_ends
from export.nets.panoptic.config import VPSNET
from export.nets.panoptic.roi import roi_pooler
from export.nets.rcnn.config import BOX_CELLS, MASK_CELLS, STRIDES, padded_hw
from export.nets.rcnn.net import Proposed
from export.nets.rcnn.operators import op_align
from export.recipes.base import ExportOptions, GraphModule, configured
from export.recipes.panoptic import PanopticRecipe
from tests.export.nets.panoptic import reference
from tests.export.tiny import TINY_UPSNET, TINY_VPSNET, filled

Outputs = dict[str, Tensor]
OPTIONS = ExportOptions(proposals=60, detections=25)
TARGETS = ["cpu", "tensorrt"]


def _graphs(recipe: PanopticRecipe, net: nn.Module | None = None, **options: object) -> dict[str, GraphModule]:
    chosen = replace(OPTIONS, **options)
    return configured(recipe, chosen).graphs(net or filled(recipe), chosen)


def _run(graph: GraphModule, **inputs: Tensor) -> Outputs:
    with torch.inference_mode():
        return dict(zip(graph.outputs, graph.module(*(inputs[name] for name in graph.inputs)), strict=True))


def _picture(seed: int, size_hw: tuple[int, int] = TINY_UPSNET.input_hw) -> Tensor:
    return 255 * torch.rand(1, *size_hw, 3, generator=torch.Generator().manual_seed(seed))


def _next(graphs: dict[str, GraphModule], before: Outputs, image: Tensor) -> Outputs:
    carried = {target: before[output] for target, output in graphs[KEY].carry.items()}
    return _run(graphs[FUSE], image=image, **carried)


@pytest.mark.parametrize("recipe", [TINY_UPSNET, TINY_VPSNET], ids=lambda recipe: recipe.name)
def test_both_targets_find_the_same(recipe: PanopticRecipe) -> None:
    """Each candidate with its box, score, class, mask and vector, in order."""
    found = [_run(_graphs(recipe, target=target)[KEY], image=_picture(1)) for target in TARGETS]

    count = int((found[0]["scores"] > 0).sum())
    assert count > 3
    for name in found[0]:
        rows = slice(count if name in ("mask_logits", EMBEDDINGS) else None)
        torch.testing.assert_close(found[0][name][rows], found[1][name][rows], rtol=1e-3, atol=1e-3)


def _proposals(recipe: PanopticRecipe, said: list[Proposed]) -> F64Array:
    levels = zip(level_anchors(recipe, recipe.input_hw), said, strict=True)
    limited = recipe.flavour == VPSNET
    found = [(reference.moved(anchors, one.offsets[0].numpy(), recipe.input_hw, limited), one.logits[0].numpy()) for anchors, one in levels]
    return reference.proposals(found, 1000, OPTIONS.proposals)[0]


def _candidates(recipe: PanopticRecipe, boxes: F64Array, logits: Tensor, offsets: Tensor) -> tuple[AnyArray, AnyArray, AnyArray]:
    size_hw = padded_hw(recipe.input_hw) if recipe.flavour == VPSNET else recipe.input_hw
    shifts = offsets.numpy() / [10, 10, 5, 5]
    moved = np.stack([reference.moved(boxes, shifts[:, k], size_hw) for k in range(shifts.shape[1])], axis=1)
    scores = logits.softmax(dim=1).numpy()
    rows, classes = np.array(reference.candidates(moved, scores, OPTIONS.detections)).T
    return moved[rows, classes], scores[rows, classes], classes


@pytest.mark.parametrize("recipe", [TINY_UPSNET, replace(TINY_VPSNET, fuse=None)], ids=lambda recipe: recipe.name)
def test_what_is_found_is_that_of_the_plain_loops(recipe: PanopticRecipe) -> None:
    """From the RPN to the candidates. Proposals end at the picture; so do candidates of UPSNet, those of VPSNet at the padding's end."""
    recipe = replace(recipe, level_side=224.0)
    net = filled(recipe)
    graph = _graphs(recipe, net)[KEY]
    with torch.inference_mode():
        levels = net.features(graph.module.padded(_picture(1)))
        proposals = _proposals(recipe, net.propose(levels))
        chosen = [(reference.roi_level(recipe.flavour, box), box) for box in proposals]
        rois = [reference.roi(recipe.flavour, levels[k][0].numpy(), box, 1 / STRIDES[k], BOX_CELLS) for k, box in chosen]
        boxes, scores, classes = _candidates(recipe, proposals, *net.boxes(torch.tensor(np.stack(rois), dtype=torch.float32)))
    found = _run(graph, image=_picture(1))

    count = len(scores)
    np.testing.assert_allclose(found["boxes"][:count], boxes, atol=1e-3)
    np.testing.assert_allclose(found["scores"][:count], scores, atol=1e-5)
    assert (found["classes"][:count] - recipe.stuff_count + 1).tolist() == classes.tolist()
    assert (found["scores"][count:] == -1).all()
    beyond = found["boxes"][:count, 2:] > torch.tensor(recipe.input_hw[::-1]) - 1
    assert beyond.any() == (recipe.flavour == VPSNET)


@pytest.mark.parametrize("recipe", [TINY_UPSNET, TINY_VPSNET], ids=lambda recipe: recipe.name)
def test_masks_and_vectors_are_those_of_the_final_boxes(recipe: PanopticRecipe) -> None:
    """Cut out of the same features as everything else, fused ones where frames are fused; classes are labels of things."""
    net = filled(recipe)
    graph = _graphs(recipe, net)[KEY]
    found = _run(graph, image=_picture(1))
    count = int((found["scores"] > 0).sum())
    with torch.inference_mode():
        levels = net.features(graph.module.padded(_picture(1)))
        if recipe.fuse is not None:
            own = net.balanced(levels)
            levels = net.fused(levels, own, own, torch.zeros(1, 2, *own.shape[2:]))
        rois = with_ends(found["boxes"][:count])
        masks = net.masks(roi_pooler(recipe, MASK_CELLS, op_align)(levels[:-1], rois))
        classes = found["classes"][:count]

        torch.testing.assert_close(found["semantic"], net.semantic(levels)[0])
        wanted = masks[torch.arange(count), classes - recipe.stuff_count + 1]
        torch.testing.assert_close(found["mask_logits"][:count], wanted, rtol=1e-3, atol=1e-3)
        if recipe.embedding is not None:
            vectors = net.embed(roi_pooler(recipe, BOX_CELLS, op_align)(levels[:-1], rois))
            torch.testing.assert_close(found[EMBEDDINGS][:count], vectors, rtol=1e-3, atol=1e-3)
    assert classes.min() >= recipe.stuff_count
    assert found["semantic"].shape == (5, 16, 24)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_found_gives_empty_rows(target: str) -> None:
    """With the first pixel's box, of which the first row still has a mask and a vector: what the originals go on with."""
    net = filled(TINY_VPSNET)
    net.bbox_head.fc_cls.bias[0] += 100

    found = _run(_graphs(TINY_VPSNET, net, target=target)[KEY], image=_picture(1))

    assert found["scores"].unique().tolist() == [-1]
    assert not found["boxes"].any()
    assert not found["classes"].any()
    assert found[EMBEDDINGS][0].any()
    assert torch.isfinite(found["mask_logits"]).all()


@pytest.mark.parametrize("size_hw", [(3, 200), (31, 33)], ids=str)
def test_pictures_smaller_than_a_cell_are_taken(size_hw: tuple[int, int]) -> None:
    """Boxes of UPSNet stay in the picture, those of VPSNet in the padded one."""
    for recipe, limit in ((TINY_UPSNET, size_hw), (TINY_VPSNET, tuple(-(-side // 32) * 32 for side in size_hw))):
        options = {"frame": size_hw, "size": (min(size_hw), max(size_hw))}
        found = _run(_graphs(recipe, **options)[KEY], image=_picture(2, size_hw))

        assert all(torch.isfinite(tensor).all() for tensor in found.values())
        assert ((found["boxes"] >= 0) & (found["boxes"] <= torch.tensor([limit[1], limit[0]] * 2) - 1)).all()


def test_a_frame_takes_what_the_one_before_carries() -> None:
    """Its own features and picture are passed on whatever came before; what is found depends on it."""
    graphs = _graphs(TINY_VPSNET)
    assert dict(graphs[KEY].carry) == dict(graphs[FUSE].carry) == {REFERENCE_BSF: BSF, REFERENCE_IMAGE: CARRIED_IMAGE}
    first, other = (_run(graphs[KEY], image=_picture(seed)) for seed in (1, 2))

    second, changed = (_next(graphs, before, _picture(3)) for before in (first, other))

    assert second.keys() == first.keys()
    alone = _run(graphs[KEY], image=_picture(3))
    for carried in (BSF, CARRIED_IMAGE):
        torch.testing.assert_close(second[carried], alone[carried])
        assert torch.equal(second[carried], changed[carried])
    assert not torch.allclose(second["semantic"], changed["semantic"])


def test_a_first_frame_is_fused_with_itself_without_a_flow() -> None:
    """The same as a frame after itself, but for what the flow net makes of two equal pictures."""
    net = filled(TINY_VPSNET)
    net.flow = lambda image, _: torch.zeros(1, 2, *(side // 4 for side in image.shape[2:]))
    graphs = _graphs(TINY_VPSNET, net)

    first = _run(graphs[KEY], image=_picture(4))
    again = _next(graphs, first, _picture(4))

    for name in first:
        torch.testing.assert_close(first[name], again[name])
