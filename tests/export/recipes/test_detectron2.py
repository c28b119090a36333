"""detectron2's names and class order, held against the map of all 307 names."""

from __future__ import annotations

import functools
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from export.recipes.detectron2 import background_first, canonical_key

DATA = Path(__file__).parents[2] / "data" / "maskrcnn"
CLASSES = 80


@functools.cache
def key_map() -> dict[str, Any]:
    """The names and shapes of both code bases, side by side."""
    return json.loads(gzip.decompress((DATA / "keymap_detectron2.json.gz").read_bytes()))


def test_every_name_of_the_model_zoo_is_mapped() -> None:
    """All 307 names become those of torchvision, one to one."""
    assert len(key_map()["keys"]) == 307
    assert {entry["detectron2"]: canonical_key(entry["detectron2"]) for entry in key_map()["keys"]} == {
        entry["detectron2"]: entry["torchvision"] for entry in key_map()["keys"]
    }


def test_the_deeper_body_follows_the_same_rule() -> None:
    """ResNet-101 has 23 blocks where ResNet-50 has 6."""
    assert canonical_key("backbone.bottom_up.res4.22.conv3.norm.running_var") == "backbone.body.layer3.22.bn3.running_var"


@pytest.mark.parametrize("name", ["pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.4"])
def test_constants_are_dropped(name: str) -> None:
    """Files may carry the mean colour and the anchors, which are no weights."""
    assert canonical_key(name) is None


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
    assert canonical_key(name) == f"{name} (not a name of detectron2)"


def test_the_shapes_become_those_of_the_net() -> None:
    """Every entry has torchvision's shape once the background is class 0, the class count apart."""
    files = {canonical_key(entry["detectron2"]): torch.empty(entry["detectron2_shape"], device="meta") for entry in key_map()["keys"]}
    arranged = background_first({str(name): value for name, value in files.items()})

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

    found = background_first(state)

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
        assert background_first(claims).keys() == claims.keys()
