"""What the recipes of UPSNet and VPSNet take, and the weights files that they load."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.errors import CheckpointError, UsageError
from edgeseg.families.base import FUSE, IMAGE, KEY
from export.checkpoints import load_checkpoint
from export.nets.panoptic.config import FuseSpec
from export.recipes import RECIPES, recipe
from export.recipes.base import ExportOptions, Recipe, configured
from export.recipes.labels import CITYSCAPES, CITYSCAPES_VPS
from tests.export.nets.panoptic.facts import (
    FLOW,
    OFFICIAL,
    SMALL_TRACK,
    SMALL_UPS,
    SMALL_VPS,
    classes,
    filled,
    manifest,
    whole_manifest,
)

State = dict[str, Tensor]


def _saved(content: object, file: Path, zipped: bool = True) -> Path:
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file


def _empty(shapes: dict[str, tuple[int, ...]]) -> State:
    """Zeros that take no space until they are written."""
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def _refusal(file: Path, chosen: Recipe, flow: Path | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(file, chosen, flow)
    return str(caught.value)


def test_labels_are_the_channels_of_the_semantic_head() -> None:
    """In its order; COCO's have the data set's ids, Cityscapes' its label ids, Cityscapes-VPS' the channels."""
    coco = [(label.name, label.category_id, label.is_thing) for label in recipe("upsnet_resnet50_coco").labels]
    city = [(label.name, None, label.is_thing) for label in recipe("upsnet_resnet50_cityscapes").labels]

    assert coco == classes("coco")
    assert city == classes("cityscapes")
    assert {label.name: label.category_id for label in CITYSCAPES}["train"] == 31
    assert [label.category_id for label in CITYSCAPES_VPS] == list(range(19))
    assert recipe("vpsnet_fusetrack").labels == CITYSCAPES_VPS


@pytest.mark.parametrize(
    ("name", "frame", "resized"),
    [
        ("upsnet_resnet50_cityscapes", None, (1024, 2048)),
        ("upsnet_resnet50_coco", (480, 640), (800, 1067)),
        ("upsnet_resnet50_coco", (720, 1280), (750, 1333)),
        ("upsnet_resnet50_coco", (600, 1000), (800, 1333)),
        ("upsnet_resnet50_coco", (1280, 720), (1333, 750)),
        ("vpsnet_fuse", None, (1024, 2048)),
        ("vpsnet_fuse", (1080, 1920), (1024, 1820)),
        ("vpsnet_track", (300, 700), (878, 2048)),
        ("vpsnet_track", (1024, 1025), (1024, 1025)),
    ],
)
def test_frames_are_resized_as_the_originals_resize_them(name: str, frame: tuple[int, int] | None, resized: tuple[int, int]) -> None:
    """The shorter side to one size unless the longer would pass another; sides are rounded, 1333.3 does not pass 1333."""
    assert configured(recipe(name), ExportOptions(frame=frame)).input_hw == resized


def test_upsnet_rounds_halves_to_even_and_vpsnet_up() -> None:
    """As OpenCV's resize does with a factor, and as mmcv does."""
    options = ExportOptions(frame=(4, 5), size=(2, 100))

    assert configured(recipe("upsnet_resnet50_coco"), options).input_hw == (2, 2)
    assert configured(recipe("vpsnet_track"), options).input_hw == (2, 3)


def test_what_is_kept_for_the_family() -> None:
    """The unknown class is UPSNet's alone; the limit is that of the data set."""
    assert recipe("upsnet_resnet101_dcn_coco").settings == {"void": True, "stuff_area_limit": 4096}
    assert recipe("vpsnet_fuse").settings == {"void": False, "stuff_area_limit": 2048}
    assert recipe("maskrcnn_resnet50_fpn").settings == {}
    assert recipe("yolact_base").settings == {}


def test_graphs_say_what_they_take_and_give() -> None:
    """A picture's graph; a net that fuses has another, and both carry the same to it."""
    (alone,) = SMALL_TRACK.graphs(filled(SMALL_TRACK), ExportOptions()).values()
    both = SMALL_VPS.graphs(filled(SMALL_VPS), ExportOptions())
    carry = {"reference_bsf": "bsf", "reference_image": "carried_image"}
    found = ("boxes", "scores", "classes", "mask_logits", "semantic", "embeddings")

    assert (alone.outputs, alone.inputs, alone.carry) == (found, (IMAGE,), {})
    assert list(both) == [KEY, FUSE]
    assert all((graph.outputs, graph.carry) == ((*found, "bsf", "carried_image"), carry) for graph in both.values())
    assert both[FUSE].inputs == (IMAGE, *carry)


@pytest.mark.parametrize("name", OFFICIAL)
def test_no_two_recipes_are_the_same_net_but_by_their_classes(name: str) -> None:
    """Nor is one an R-CNN."""
    assert [other for other in RECIPES if recipe(name).same_net(RECIPES[other])] == [name]
    assert recipe(name).same_net(configured(recipe(name), ExportOptions(frame=(480, 640), size=(400, 700))))


def test_scores_cannot_be_chosen() -> None:
    """The panoptic head sees what scores more than 0.6, whatever is shown of it."""
    with pytest.raises(UsageError, match="--min-score"):
        configured(recipe("upsnet_resnet50_coco"), ExportOptions(min_score=0.3))


def _bare(state: State) -> object:
    return state


def _parallel(state: State) -> object:
    return OrderedDict((f"module.{key}", value) for key, value in state.items() if not key.endswith("num_batches_tracked"))


def _of_mmcv(state: State) -> object:
    momentum = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.02, "params": [0]}]}
    return {"meta": {"time": "now", "epoch": 12, "CLASSES": ("a", "b")}, "state_dict": OrderedDict(state), "optimizer": momentum}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("layout", [_bare, _parallel, _of_mmcv])
@pytest.mark.parametrize("chosen", [SMALL_UPS, SMALL_VPS], ids=lambda chosen: chosen.name)
def test_every_layout_of_file_gives_the_same_net(tmp_path: Path, chosen: Recipe, layout: Any, zipped: bool) -> None:
    """Bare, of a parallel net without batch counters, of mmcv; written by new and old versions of PyTorch."""
    wanted = filled(chosen).state_dict()

    net = load_checkpoint(_saved(layout(wanted), tmp_path / "net.pth", zipped), chosen)

    assert all(torch.equal(value, wanted[key]) for key, value in net.state_dict().items())
    assert not any(value.is_meta for value in (*net.parameters(), *net.buffers()))


class _RunsCode:
    def __reduce__(self) -> Any:
        return Path.mkdir, (Path("ran"),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_beside_the_weights_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    """In a training checkpoint too; what is refused is named."""
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": filled(SMALL_UPS).state_dict(), "meta": {"hook": _RunsCode()}}

    message = _refusal(_saved(content, tmp_path / "net.pth", zipped), SMALL_UPS)

    assert "refused" in message
    assert not (tmp_path / "ran").exists()


def test_missing_and_foreign_entries_are_named(tmp_path: Path) -> None:
    """One of each."""
    state = filled(SMALL_UPS).state_dict()
    state["fcn_head.other.weight"] = state.pop("fcn_head.score.weight")

    message = _refusal(_saved(state, tmp_path / "net.pth"), SMALL_UPS)

    assert "1 missing (fcn_head.score.weight)" in message
    assert "1 unexpected (fcn_head.other.weight)" in message


def test_a_file_with_other_classes_asks_for_their_names(tmp_path: Path) -> None:
    """And loads with them."""
    names = ["stuff: water", "boat", "buoy"]
    file = _saved(filled(SMALL_UPS.with_labels(names)).state_dict(), tmp_path / "net.pth")

    assert "Give its 3 class names" in _refusal(file, SMALL_UPS)
    assert len(load_checkpoint(file, SMALL_UPS.with_labels(names)).rcnn.cls_score.bias) == 3


LARGE_FLOW = replace(SMALL_TRACK, name="large_flow", fuse=FuseSpec())
"""A small net with the whole FlowNet2."""


@pytest.fixture(scope="module")
def flow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FlowNet2's weights as they were published: by an old PyTorch, a number of NumPy beside them."""
    content = {"arch": "FlowNet2", "epoch": 0, "state_dict": _empty(manifest(FLOW)), "best_EPE": np.float64(1.5)}
    return _saved(content, tmp_path_factory.mktemp("flow") / "FlowNet2_checkpoint.pth.tar", zipped=False)


def test_flow_weights_come_from_a_file_of_their_own(tmp_path: Path, flow_file: Path) -> None:
    """Together the two files are the net; without the second, the message says what to do."""
    file = _saved(filled(SMALL_TRACK).state_dict() | _fuse_module(), tmp_path / "net.pth")

    net = load_checkpoint(file, LARGE_FLOW, flow_file)

    assert not net.flownet2.state_dict()["flownetc.conv1.0.weight"].any()
    message = _refusal(file, LARGE_FLOW)
    assert "but its flow net (220 entries, flownet2....)" in message
    assert "--flow-weights" in message


def _fuse_module() -> State:
    return {name: value for name, value in filled(SMALL_VPS).state_dict().items() if name.startswith("extra_neck.")}


def test_flow_weights_are_refused_where_they_have_no_place(tmp_path: Path) -> None:
    """By nets without a flow net, and by those whose flow net is another."""
    file = _saved(filled(SMALL_UPS).state_dict(), tmp_path / "net.pth")

    for chosen in (SMALL_UPS, SMALL_VPS):
        with pytest.raises(UsageError, match="leave out --flow-weights"):
            load_checkpoint(file, chosen, file)


def test_a_published_file_is_recognised(tmp_path: Path) -> None:
    """The right recipe is named; files that differ in their classes alone are told apart by these."""
    file = _saved(_empty(whole_manifest("upsnet_resnet101_dcn_coco")), tmp_path / "net.pth")

    assert "It fits the recipe upsnet_resnet101_dcn_coco: use that" in _refusal(file, recipe("upsnet_resnet50_coco"))
