"""Weight files: what loads, and what each kind of wrong file is told."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgeseg.errors import CheckpointError
from export import checkpoints, weight_files
from export.checkpoints import load_checkpoint
from export.recipes import RECIPES
from tests.export.nets.facts import manifest

DEMO = RECIPES["yolact_demo"]
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def demo_state() -> State:
    """The state dict of an untrained demo net."""
    torch.manual_seed(0)
    return DEMO.build_net().state_dict()


def _saved(content: object, folder: Path, **options: Any) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path, **options)
    return path


def _refusal(path: Path, recipe: Any = DEMO) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, recipe)
    assert str(path) in str(caught.value)
    return str(caught.value)


def _empty_official(name: str) -> State:
    """Zeros under the official names of a configuration, which take no space until they are written."""
    return {key: torch.zeros(()).expand(shape) for key, shape in manifest(name).items()}


def _edge_names(state: State) -> State:
    """The same entries as YolactEdge names them."""
    split = {"fpn.lat_layers.": "fpn_phase_1.lat_layers.", "fpn.pred_layers.": "fpn_phase_2.pred_layers."}
    split["fpn.downsample_layers."] = "fpn_phase_2.downsample_layers."
    renamed = {}
    for name, value in state.items():
        prefix = next((old for old in split if name.startswith(old)), "")
        renamed[split.get(prefix, "") + name.removeprefix(prefix)] = value
    return renamed


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_loads_bit_for_bit(demo_state: State, tmp_path: Path, zipped: bool) -> None:
    """Both file formats of PyTorch give back every value, in a frozen net in evaluation mode."""
    net = load_checkpoint(_saved(demo_state, tmp_path, _use_new_zipfile_serialization=zipped), DEMO)

    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert demo_state.keys() == net.state_dict().keys()
    assert all(torch.equal(demo_state[name], value) for name, value in net.state_dict().items())


def _without_counters(state: State) -> State:
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def _with_leftovers(state: State) -> State:
    stray = {"backbone.layer1.0.conv1.weight": torch.zeros(4), "fpn.downsample_layers.2.weight": torch.zeros(4)}
    return {**state, **stray, "fpn.downsample_layers.3.bias": torch.zeros(4)}


@pytest.mark.parametrize(
    "disguise",
    [
        _edge_names,
        _without_counters,
        _with_leftovers,
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": state, "epoch": 54, "optimizer": {}},
        lambda state: {name: value.double() if value.is_floating_point() else value for name, value in state.items()},
    ],
    ids=["yolact_edge", "no_counters", "old_leftovers", "data_parallel", "wrapped", "float64"],
)
def test_harmless_variants_load_the_same(demo_state: State, tmp_path: Path, disguise: Any) -> None:
    """YolactEdge's names, absent counters, leftovers of old versions, DataParallel, wrappers and doubles make no difference."""
    net = load_checkpoint(_saved(disguise(demo_state), tmp_path), DEMO)

    assert all(torch.equal(demo_state[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("file", "recipe"),
    [
        ("yolact_resnet50", "yolact_edge_resnet50"),
        ("yolact_edge_youtubevis_resnet50", "yolact_edge_youtubevis_resnet50"),
        ("yolact_edge_vid_resnet50", "yolact_edge_vid_resnet50"),
        ("yolact_edge_vid_minimal", "yolact_edge_vid_minimal"),
    ],
)
def test_official_names_load(tmp_path: Path, file: str, recipe: str) -> None:
    """An official YolactEdge file loads, video files without what they do not use, and a YOLACT file as the same net of YolactEdge."""
    net = load_checkpoint(_saved(_empty_official(file), tmp_path), RECIPES[recipe])

    assert sum(value.numel() for value in net.state_dict().values()) > 30e6


def test_every_kind_of_difference_is_listed(demo_state: State, tmp_path: Path) -> None:
    """Missing, unexpected and mis-shaped keys are counted and named, the first eight of each; shapes are given."""
    state = {name: value for name, value in demo_state.items() if not name.startswith("proto_net.0")}
    state |= {f"flow_net.{i}.weight": torch.zeros(1) for i in range(10)}
    state["proto_net.2.bias"] = torch.zeros(5)
    message = _refusal(_saved(state, tmp_path))

    assert "2 missing (proto_net.0.weight, proto_net.0.bias)" in message
    assert "10 unexpected (flow_net.0.weight, " in message
    assert "flow_net.7.weight and 2 more)" in message
    assert "1 of another shape (proto_net.2.bias is (5,) in the file and (64,) in the net)" in message
    assert "fits no other recipe" in message


def test_the_right_recipe_is_named(tmp_path: Path) -> None:
    """A checkpoint of another configuration is recognised by its keys."""
    path = _saved(_empty_official("yolact_darknet53"), tmp_path)

    assert "It fits the recipe yolact_darknet53: use that" in _refusal(path, RECIPES["yolact_resnet50"])
    assert "does not fit the recipe yolact_plus_base" in _refusal(path, RECIPES["yolact_plus_base"])


def test_all_recipes_of_the_same_net_are_named(tmp_path: Path) -> None:
    """Where several configurations share a net, all are offered."""
    message = _refusal(_saved(_empty_official("yolact_edge_resnet50"), tmp_path), RECIPES["yolact_base"])

    assert "It fits these recipes: yolact_resnet50, yolact_edge_resnet50" in message


@pytest.mark.parametrize(
    ("file", "recipe", "difference"),
    [
        ("yolact_edge_vid_resnet50", "yolact_edge_youtubevis_resnet50", "30 unexpected (spa.refine_convs.0.0.weight"),
        ("yolact_edge_youtubevis", "yolact_edge_vid", "30 missing (flow_net_pre_convs.convs.0.0.weight"),
        ("yolact_edge_vid_minimal", "yolact_edge_vid", "4 missing (spa.refine_convs.0.0.weight"),
    ],
)
def test_video_and_image_files_are_told_apart(tmp_path: Path, file: str, recipe: str, difference: str) -> None:
    """The flow branch and its SPA are neither ignored nor made up, and the recipe that the file is of is named."""
    message = _refusal(_saved(_empty_official(file), tmp_path), RECIPES[recipe])

    assert difference in message
    assert f"It fits the recipe {file}: use that" in message


def test_a_wrong_class_count_is_said_plainly(tmp_path: Path) -> None:
    """Only the class count differs: both counts, the recipe that has it, and --labels."""
    message = _refusal(_saved(_empty_official("yolact_resnet50_pascal"), tmp_path), RECIPES["yolact_resnet50"])

    assert "has 21 classes incl. background, the recipe yolact_resnet50 with its labels has 81" in message
    assert "It fits the recipe yolact_resnet50_pascal: use that, or give its 20 class names, in training order, with --labels" in message


def test_own_labels_must_match_the_file(tmp_path: Path) -> None:
    """A net trained on three classes loads with three names, and with two is told how many it needs."""
    three = DEMO.with_labels(["a", "b", "c"])
    path = _saved(three.build_net().state_dict(), tmp_path)

    assert load_checkpoint(path, three).state_dict()["semantic_seg_conv.bias"].shape == (3,)
    assert "has 4 classes incl. background" in _refusal(path, DEMO.with_labels(["a", "b"]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Neither an absent file nor a folder is a weights file."""
    assert "no such file" in _refusal(tmp_path / "absent.pth")
    assert "no such file" in _refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_an_unreadable_file_says_why(demo_state: State, tmp_path: Path) -> None:
    """The system's own reason is passed on."""
    path = _saved(demo_state, tmp_path)
    path.chmod(0)

    assert "Permission denied" in _refusal(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_damaged(demo_state: State, tmp_path: Path, zipped: bool, kept: float) -> None:
    """A file cut anywhere is called damaged."""
    path = _saved(demo_state, tmp_path, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(path.stat().st_size * kept))

    assert "damaged, cut short or something else" in _refusal(path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """A web page saved in place of the weights is not a weights file."""
    path = tmp_path / "weights.pth"
    path.write_text("<!doctype html><title>Sign in</title>")

    assert "cannot be read as a PyTorch weights file" in _refusal(path)


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    """A pickle that calls a function is refused by name, nothing runs, and no way around the check is offered."""
    monkeypatch.chdir(tmp_path)
    message = _refusal(_saved({"weight": _RunsCode()}, tmp_path, _use_new_zipfile_serialization=zipped))

    assert "refused" in message
    assert "mkdir" in message
    assert "weights_only" not in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "holds a list, not a state dict"),
        ({}, "it is empty"),
        ({"epoch": 3, "net": {"a": 1}}, "it also holds epoch, net"),
        ({"weight": torch.zeros(2, 2).to_sparse()}, "it also holds weight"),
    ],
    ids=["list", "empty", "other_dict", "sparse"],
)
def test_what_is_no_state_dict_is_described(tmp_path: Path, content: object, found: str) -> None:
    """The message says what the file holds instead."""
    assert found in _refusal(_saved(content, tmp_path))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_no_numbers_are_refused(demo_state: State, tmp_path: Path, value: float) -> None:
    """NaN, infinity and what becomes infinite in float32 is found and named."""
    bias = demo_state["proto_net.0.bias"].double()
    bias[3] = value

    assert "proto_net.0.bias holds NaN or infinite weights" in _refusal(_saved({**demo_state, "proto_net.0.bias": bias}, tmp_path))


def test_integer_weights_are_refused(demo_state: State, tmp_path: Path) -> None:
    """Weights quantised by another tool are not mistaken for real ones."""
    quantised = demo_state["proto_net.0.weight"].to(torch.int8)

    assert "proto_net.0.weight is torch.int8" in _refusal(_saved({**demo_state, "proto_net.0.weight": quantised}, tmp_path))


def test_two_nets_in_one_file_are_refused(demo_state: State, tmp_path: Path) -> None:
    """A pyramid under both code bases' names leaves open which one counts."""
    assert "holds fpn.lat_layers.0.weight twice" in _refusal(_saved({**demo_state, **_edge_names(demo_state)}, tmp_path))


def test_an_oversized_file_is_not_read(demo_state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than any net of the recipes is refused before it fills the memory."""
    path = _saved(demo_state, tmp_path)
    monkeypatch.setattr(weight_files, "_MAX_BYTES", path.stat().st_size - 1)

    assert "too large for a weights file" in _refusal(path)


def test_shapes_without_the_data_behind_them_do_no_harm(demo_state: State, tmp_path: Path) -> None:
    """A tensor that claims a huge shape over one stored number is refused by its shape, without being unfolded."""
    huge = torch.zeros(()).expand(10**6, 10**6)

    assert "proto_net.0.bias is (1000000, 1000000) in the file" in _refusal(_saved({**demo_state, "proto_net.0.bias": huge}, tmp_path))


def test_a_flipped_byte_never_escapes_as_another_error(demo_state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged pickle is a CheckpointError wherever the damage is."""
    monkeypatch.setattr(checkpoints, "RECIPES", {})
    small = _saved({name: demo_state[name] for name in list(demo_state)[:3]}, tmp_path, _use_new_zipfile_serialization=False)
    intact = small.read_bytes()
    for position in range(0, 1500, 7):
        small.write_bytes(intact[:position] + bytes([intact[position] ^ 0x55]) + intact[position + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert str(small) in _refusal(small)
