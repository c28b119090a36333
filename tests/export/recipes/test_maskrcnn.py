"""What torchvision's recipes take, and the weights files that they load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgeseg.bundle import InputSpec
from edgeseg.errors import CheckpointError, UsageError
from edgeseg.families import FAMILIES
from export.checkpoints import load_checkpoint
from export.recipes import RECIPES, recipe
from export.recipes.base import ExportOptions, configured
from tests.export.nets.rcnn.facts import class_names, golden, manifest
from tests.export.tiny import TINY_FASTER, TINY_RCNN, filled

OFFICIAL = ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2")


@pytest.mark.parametrize("name", OFFICIAL)
def test_classes_are_torchvisions_without_the_background(name: str) -> None:
    """Class k - 1 has label k of torchvision, which is COCO's category id, with the unused ids in their places."""
    labels = recipe(name).labels

    assert [label.name for label in labels] == class_names()[1:]
    assert [label.category_id for label in labels] == list(range(1, 91))


@pytest.mark.parametrize("name", OFFICIAL)
def test_outputs_are_those_of_the_family(name: str) -> None:
    """Without the masks in a net that has none."""
    small = TINY_RCNN if name.startswith("mask") else TINY_FASTER

    assert FAMILIES[recipe(name).family].outputs == small.graphs(filled(small), ExportOptions())["key"].outputs
    assert ("boxes only" in recipe(name).summary) == name.startswith("faster")


@pytest.mark.parametrize(
    ("frame", "size", "resized"),
    [
        ((1080, 810), None, (1066, 800)),
        ((720, 1280), None, (749, 1333)),
        ((1280, 720), None, (1333, 749)),
        ((480, 640), (480, 800), (480, 640)),
        ((64, 1000), None, (85, 1333)),
        ((20, 20), None, (800, 800)),
        ((100, 100), (1500,), (1500, 1500)),
        ((300, 400), (30,), (30, 40)),
    ],
)
def test_frames_are_resized_as_torchvision_resizes_them(
    frame: tuple[int, int], size: tuple[int, ...] | None, resized: tuple[int, int]
) -> None:
    """The shorter side to the first size unless the longer would pass the second; parts of pixels are cut off."""
    options = ExportOptions(frame=frame, size=size)

    assert configured(recipe("maskrcnn_resnet50_fpn"), options).input_spec(options).size == resized


@pytest.mark.parametrize("case", ["astronaut_480", "coffee_800"])
def test_the_goldens_have_the_size_of_the_recipe(case: str) -> None:
    """As torchvision reports it."""
    wanted = golden("maskrcnn_resnet50_fpn", case)
    options = ExportOptions(frame=tuple(wanted["orig_hw"]), size=(wanted["min_size"], wanted["max_size"]))

    assert list(configured(recipe("maskrcnn_resnet50_fpn"), options).input_spec(options).size) == wanted["resized_hw"]


def test_other_frames_are_refused_or_letterboxed() -> None:
    """As the user chose; 720p at the original's scale unless the options say otherwise."""
    chosen = recipe("maskrcnn_resnet50_fpn_v2")

    assert chosen.input_spec(ExportOptions()) == InputSpec((749, 1333), "uint8", "same_shape")
    assert chosen.input_spec(ExportOptions("float32", fit="letterbox")) == InputSpec((749, 1333), "float32", "letterbox")


@pytest.mark.parametrize("options", [ExportOptions(cross_class_nms=True), ExportOptions(size=(-1,)), ExportOptions(proposals=0)], ids=str)
def test_impossible_options_are_refused(options: ExportOptions) -> None:
    """Those of another family too."""
    with pytest.raises(UsageError):
        configured(recipe("maskrcnn_resnet50_fpn"), options)


def test_input_sizes_do_not_make_another_net() -> None:
    """Unlike YOLACT's anchors these do not follow the size; generations and branches are different nets."""
    v1 = recipe("maskrcnn_resnet50_fpn")

    assert v1.same_net(configured(v1, ExportOptions(frame=(480, 640), size=(400, 700))))
    assert [name for name in RECIPES if v1.same_net(recipe(name))] == ["maskrcnn_resnet50_fpn"]


def _saved(state: dict[str, Tensor], folder: Path) -> Path:
    file = folder / "weights.pth"
    torch.save(state, file)
    return file


def _empty(name: str) -> dict[str, Tensor]:
    """Zeros under the names of a manifest, which take no space until they are written."""
    return {key: torch.zeros(()).expand(shape) for key, shape in manifest(name).items()}


@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn"])
@pytest.mark.parametrize("generation", ["", "__old_names"])
def test_names_of_both_generations_load(tmp_path: Path, name: str, generation: str) -> None:
    """Those of the published files and those of today's torchvision, to the last parameter."""
    net = load_checkpoint(_saved(_empty(f"{name}{generation}"), tmp_path), recipe(name))

    counters = [key for key in net.state_dict() if key.endswith("num_batches_tracked")]
    assert len(net.state_dict()) == len(manifest(name)) + len(counters)


def _old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    pairs = dict(zip(manifest("maskrcnn_resnet50_fpn"), manifest("maskrcnn_resnet50_fpn__old_names"), strict=True))
    return {pairs.get(key, key): value for key, value in state.items()}


def _without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("disguise", [_old_names, _without_counters, dict], ids=["old_names", "no_counters", "counters"])
def test_every_spelling_gives_the_same_net(tmp_path: Path, disguise: Any) -> None:
    """Each value in its place, whether or not the file counts batches."""
    wanted = filled(TINY_RCNN).state_dict()

    net = load_checkpoint(_saved(disguise(wanted), tmp_path), TINY_RCNN)

    assert all(torch.equal(value, wanted[key]) for key, value in net.state_dict().items())


def test_heads_for_other_classes_load_with_their_names(tmp_path: Path) -> None:
    """A fine-tuned file needs one name for each of its classes, and is told how many those are."""
    two = replace(TINY_RCNN, name="two").with_labels(["cat", "dog"])
    file = _saved(filled(two).state_dict(), tmp_path)

    assert len(load_checkpoint(file, TINY_RCNN.with_labels(["a", "b"])).roi_heads.mask_predictor.mask_fcn_logits.bias) == 3
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(file, TINY_RCNN)
    assert "has 3 classes incl. background, the recipe tiny_rcnn with its labels has 4. Give its 2 class names" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "other", "difference"),
    [
        ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "It fits the"),
        ("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn", "It fits the recipe maskrcnn_resnet50_fpn_v2: use that"),
        ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "12 missing (roi_heads.mask_head.0.0.weight"),
        ("maskrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2", "unexpected (roi_heads.mask_head.0.0.weight"),
    ],
)
def test_a_file_of_another_model_is_recognised(tmp_path: Path, file: str, other: str, difference: str) -> None:
    """The generations and the nets without masks are told apart, and the right recipe is named."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(_saved(_empty(file), tmp_path), recipe(other))

    assert difference in str(caught.value)
    assert file in str(caught.value)
