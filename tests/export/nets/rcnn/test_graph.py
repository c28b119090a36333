"""The whole graph in torch: pictures of all shapes, none and many detections, and the two targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from export.nets.rcnn.graph import TARGETS
from export.recipes.base import ExportOptions, configured
from tests.export.tiny import TINY_FASTER, TINY_RCNN, TINY_RCNN_D2, TINY_RCNN_V2, filled

TINY = [TINY_RCNN, TINY_RCNN_V2, TINY_RCNN_D2, TINY_FASTER]


def _run(recipe: Any, options: ExportOptions, net: Any = None) -> tuple[Tensor, ...]:
    """What the graph of a small net finds in a made-up picture."""
    recipe = configured(recipe, options)
    module = recipe.graphs(net or filled(recipe), options)["key"].module
    noise = torch.rand(1, *recipe.input_hw, 3, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found: tuple[Tensor, ...] = module(255 * noise)
    return found


@pytest.mark.parametrize("recipe", TINY, ids=lambda recipe: recipe.name)
def test_both_targets_find_the_same(recipe: Any) -> None:
    """Each detection with its box, score, class and mask, in order."""
    found = [_run(recipe, ExportOptions(target=target)) for target in TARGETS]

    assert (found[0][1] > 0).sum() > 5
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("frame", [(64, 1000), (1000, 64), (9, 7), (1, 50), (31, 31)], ids=str)
def test_frames_of_any_shape_are_taken(frame: tuple[int, int], target: str) -> None:
    """Very long ones and those smaller than one cell of the coarsest level; boxes stay inside the picture."""
    options = ExportOptions(frame=frame, size=(90, 400), target=target)
    recipe = configured(TINY_RCNN, options)

    boxes, scores, classes, masks = _run(TINY_RCNN, options)

    height, width = recipe.input_hw
    assert (boxes.shape, scores.shape, classes.shape, masks.shape) == ((100, 4), (100,), (100,), (100, 28, 28))
    assert all(torch.isfinite(tensor).all() for tensor in (boxes, scores, masks))
    assert ((boxes >= 0) & (boxes <= torch.tensor([width, height, width, height]))).all()
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)


@pytest.mark.parametrize("target", TARGETS)
def test_a_picture_without_objects_gives_empty_rows(target: str) -> None:
    """When the background is always sure."""
    net = filled(TINY_RCNN)
    net.roi_heads.box_predictor.cls_score.bias[0] += 100

    boxes, scores, classes, masks = _run(TINY_RCNN, ExportOptions(target=target), net)

    assert scores.unique().tolist() == [-1]
    assert not boxes.any()
    assert not classes.any()
    assert torch.isfinite(masks).all()


@pytest.mark.parametrize("target", TARGETS)
def test_more_than_a_hundred_objects_can_be_found(target: str) -> None:
    """As many as were asked for at export, of which the first hundred are those of the usual limit."""
    net = filled(TINY_RCNN)
    net.roi_heads.box_predictor.cls_score.bias[0] -= 4

    usual, longer = (_run(TINY_RCNN, ExportOptions(detections=count, target=target), net) for count in (None, 150))

    assert (int((usual[1] > 0).sum()), int((longer[1] > 0).sum())) == (100, 150)
    np.testing.assert_allclose(longer[0][:100], usual[0], atol=1e-4)
