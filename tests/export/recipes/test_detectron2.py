"""detectron2's names and class order, held against the map of all 307 names."""

from __future__ import annotations

import functools
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeseg.bundle import InputSpec
from export.nets.rcnn.config import DETECTRON2
from export.recipes import RECIPES
from export.recipes.base import ExportOptions
from export.recipes.detectron2 import Detectron2Recipe
from tests.detectron2_reference import resized_hw

DATA = Path(__file__).parents[2] / "data" / "maskrcnn"
CLASSES = 80
R50 = RECIPES["maskrcnn_resnet50_fpn_d2"]


@functools.cache
def key_map() -> dict[str, Any]:
    """The names and shapes of both code bases, side by side."""
    return json.loads(gzip.decompress((DATA / "keymap_detectron2.json.gz").read_bytes()))


def test_every_name_of_the_model_zoo_is_mapped() -> None:
    """All 307 names become those of torchvision, one to one."""
    assert len(key_map()["keys"]) == 307
    assert {entry["detectron2"]: R50.canonical_key(entry["detectron2"]) for entry in key_map()["keys"]} == {
        entry["detectron2"]: entry["torchvision"] for entry in key_map()["keys"]
    }


def test_the_deeper_body_follows_the_same_rule() -> None:
    """ResNet-101 has 23 blocks where ResNet-50 has 6."""
    assert R50.canonical_key("backbone.bottom_up.res4.22.conv3.norm.running_var") == "backbone.body.layer3.22.bn3.running_var"


def test_every_recipe_is_a_net_of_detectron2_with_the_coco_classes() -> None:
    """Contiguous classes with COCO's category ids, a bundle that resizes as PIL does, masks pasted by detectron2's rule."""
    names = ["maskrcnn_resnet50_fpn_d2", "maskrcnn_resnet101_fpn_d2", "fasterrcnn_resnet50_fpn_d2", "fasterrcnn_resnet101_fpn_d2"]
    recipes = [recipe for recipe in RECIPES.values() if isinstance(recipe, Detectron2Recipe)]

    assert [recipe.name for recipe in recipes] == names
    for recipe in recipes:
        assert [label.category_id for label in recipe.labels] == key_map()["contiguous_to_coco_id"]
        assert recipe.flavour == DETECTRON2
        assert recipe.input_spec(ExportOptions()) == InputSpec((750, 1333), "uint8", "same_shape", "antialias")
        assert recipe.input_spec(ExportOptions("float32", fit="letterbox")) == InputSpec((750, 1333), "float32", "letterbox", "antialias")
        assert recipe.family == ("fasterrcnn" if recipe.name.startswith("faster") else "maskrcnn_d2")
    assert [recipe.blocks[2] for recipe in recipes] == [6, 23, 6, 23]


def test_frames_are_resized_by_the_rule_of_detectron2() -> None:
    """The same size as in the original's order of operations, for thousands of shapes; halves go up."""
    random = np.random.default_rng(0)
    shapes = [(720, 1440), (1440, 720), (1000, 2000), (480, 640), (600, 600), (1, 3), *random.integers(1, 4000, (3000, 2)).tolist()]
    for shorter, longer in ((800, 1333), (480, 640), (333, 333)):
        for shape in shapes:
            recipe = replace(R50, frame_hw=tuple(shape), shorter=shorter, longer=longer)
            assert recipe.input_hw == resized_hw(tuple(shape), shorter, longer), shape
    assert replace(R50, frame_hw=(720, 1440)).input_hw == (667, 1333)


@pytest.mark.parametrize("name", ["pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.4"])
def test_constants_are_dropped(name: str) -> None:
    """Files may carry the mean colour and the anchors, which are no weights."""
    assert R50.canonical_key(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "backbone.body.conv1.weight",
        "rpn.head.conv.0.0.weight",
        "roi_heads.mask_head.0.0.weight",
        "conv1_w",
        "pixel_means",
        "",
        "sem_seg_head.x",
    ],
)
def test_other_names_stay_foreign(name: str) -> None:
    """Neither torchvision's names nor those of other nets can be taken for weights of this one."""
    assert R50.canonical_key(name) == f"{name} (not a name of detectron2)"


def test_the_shapes_become_those_of_the_net() -> None:
    """Every entry has torchvision's shape once the background is class 0, the class count apart."""
    files = {R50.canonical_key(entry["detectron2"]): torch.empty(entry["detectron2_shape"], device="meta") for entry in key_map()["keys"]}
    arranged = R50.arranged({str(name): value for name, value in files.items()})

    for entry in key_map()["keys"]:
        wanted = list(entry["torchvision_shape"])
        if re.search("cls_score|bbox_pred|mask_fcn_logits", entry["torchvision"]) and "rpn" not in entry["torchvision"]:
            wanted[0] = wanted[0] * (CLASSES + 1) // 91
        assert list(arranged[entry["torchvision"]].shape) == wanted, entry["torchvision"]


def test_the_background_comes_first() -> None:
    """Scores are turned by one class, boxes and masks of the background are zeros, and everything else stays where it is."""
    rows = torch.arange(1.0, CLASSES + 2)
    state = {
        "roi_heads.box_predictor.cls_score.weight": rows[:, None] * torch.tensor([1.0, -1.0]),
        "roi_heads.box_predictor.bbox_pred.bias": torch.arange(4.0 * CLASSES),
        "roi_heads.mask_predictor.mask_fcn_logits.weight": rows[:CLASSES].reshape(-1, 1, 1, 1),
        "rpn.head.bbox_pred.bias": torch.arange(12.0),
    }

    found = R50.arranged(state)

    scores = found["roi_heads.box_predictor.cls_score.weight"]
    assert scores[:, 0].tolist() == [CLASSES + 1, *range(1, CLASSES + 1)]
    assert torch.equal(scores[:, 1], -scores[:, 0])
    assert found["roi_heads.box_predictor.bbox_pred.bias"].tolist() == [0, 0, 0, 0, *range(4 * CLASSES)]
    assert found["roi_heads.mask_predictor.mask_fcn_logits.weight"].flatten().tolist() == [0, *range(1, CLASSES + 1)]
    assert torch.equal(found["rpn.head.bbox_pred.bias"], state["rpn.head.bbox_pred.bias"])
    assert state["roi_heads.box_predictor.cls_score.weight"][0, 0] == 1


def test_shapes_of_any_kind_pass() -> None:
    """A file may claim numbers without rows or none at all; that they do not fit is found elsewhere."""
    for shape in ((), (0,), (0, 5), (1,)):
        claims = {
            f"roi_heads.{layer}": torch.zeros(shape) for layer in ("box_predictor.cls_score.bias", "mask_predictor.mask_fcn_logits.bias")
        }
        assert R50.arranged(claims).keys() == claims.keys()
