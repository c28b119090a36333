"""A file of detectron2 -> bundle -> instances, and what becomes of files that are not what they claim."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import edgeseg
from edgeseg.bundle import read_bundle
from edgeseg.cli import main
from export.nets.rcnn.net import Rcnn
from export.recipes import RECIPES
from export.recipes.base import ExportOptions
from export.to_onnx import graphs_to_onnx
from tests import detectron2_reference as reference
from tests.export.tiny_detectron2 import SETTINGS, TINY, state, write_pickle

OPTIONS = ["--proposals", SETTINGS.proposals, "--detections", SETTINGS.detections]


@pytest.fixture(scope="module")
def picture(checkout: Path) -> np.ndarray:
    """uint8 (90, 160, 3) BGR."""
    return cv2.imread(str(checkout / "tests" / "data" / "yolact" / "astronaut.png"))[100:190, 100:260]


@pytest.fixture(autouse=True, scope="module")
def _tiny_recipe() -> Any:
    """The command knows the exporter by its installed name, as modules of their own."""
    known = importlib.import_module("edgeseg_export.recipes").RECIPES
    settings = {field.name: getattr(TINY, field.name) for field in fields(TINY) if field.name != "flavour"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(known, TINY.name, replace(known["maskrcnn_resnet50_fpn_d2"], **settings))
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, picture: np.ndarray) -> Path:
    """A folder with the picture."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "astronaut.png"), picture)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The tiny net, exported from a pickle on the command line."""
    folder = tmp_path_factory.mktemp("d2")
    assert _export(write_pickle(folder, state()), folder / "bundle", *OPTIONS, "--pictures", pictures) == 0
    return folder / "bundle"


def _export(weights: Path, out: Path, *options: object, recipe: str = TINY.name) -> int:
    return main(["export", recipe, "--weights", str(weights), "--out", str(out), *map(str, options)])


def _refusal(weights: Path, capsys: pytest.CaptureFixture[str], recipe: str = TINY.name) -> str:
    """The one line that a file which cannot be exported ends with, next to which nothing is written."""
    before = sorted(weights.parent.iterdir())
    code = _export(weights, weights.parent / "out", recipe=recipe)
    lines = capsys.readouterr().err.splitlines()

    assert code == 1
    assert not any("Traceback" in line for line in lines)
    assert lines[-1].startswith(f"edgeseg: error: {weights}: ")
    assert sorted(weights.parent.iterdir()) == before
    return lines[-1]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_file_of_detectron2_finds_what_the_reference_finds(bundle: Path, picture: np.ndarray, backend: str) -> None:
    """From the pickle to pasted masks in the frame, against plain loops over the same weights under detectron2's names."""
    expected = []
    for entry, mask in reference.segment(state(), picture, TINY.input_hw, SETTINGS):
        box = reference.in_image(entry.box, TINY.input_hw, (90, 160))
        assert box is not None
        expected.append((entry, box, reference.pasted(mask, box, (90, 160))))

    with edgeseg.load(bundle, backend=backend, score_threshold=0.05) as model:
        found = model(picture).instances

    assert found is not None
    assert len(found) == len(expected)
    for i, (entry, box, soft) in enumerate(expected):
        assert (found.classes[i], found.scores[i]) == (entry.k, pytest.approx(entry.score, abs=1e-4))
        assert np.abs(found.boxes[i] - box).max() < 1e-2
        decided = np.abs(soft - 0.5) > 1e-3
        assert np.array_equal(found.masks.paste(i)[decided], (soft >= 0.5)[decided])
        assert decided.mean() > 0.99


def test_the_bundle_says_how_frames_are_resized(bundle: Path) -> None:
    """Antialiased, to the size that detectron2 gives them, frames of other shapes refused; masks by detectron2's rule."""
    read = read_bundle(bundle)

    assert (read.family, read.recipe) == ("maskrcnn_d2", "tiny_d2")
    assert (read.input.size, read.input.fit, read.input.resample) == ((84, 150), "same_shape", "antialias")


def test_the_same_weights_under_the_nets_own_names_give_the_same_graph(bundle: Path, checkout: Path, tmp_path: Path) -> None:
    """Byte for byte: names and class order are all that the file of detectron2 differs in."""
    table = json.loads(gzip.decompress((checkout / "tests" / "data" / "maskrcnn" / "keymap_detectron2.json.gz").read_bytes()))["keys"]
    own_names = {entry["detectron2"]: entry["torchvision"] for entry in table}
    own = {own_names[name]: torch.from_numpy(value) for name, value in state().items()}
    for part in ("weight", "bias"):
        scores, boxes, masks = (
            f"roi_heads.{layer}.{part}"
            for layer in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
        )
        own[scores] = torch.cat([own[scores][-1:], own[scores][:-1]])
        own[boxes] = torch.cat([torch.zeros_like(own[boxes][:4]), own[boxes]])
        own[masks] = torch.cat([torch.zeros_like(own[masks][:1]), own[masks]])
    net = Rcnn(TINY)
    missing, unexpected = net.load_state_dict(own, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)

    options = ExportOptions(proposals=SETTINGS.proposals, detections=SETTINGS.detections)
    graphs_to_onnx(TINY.graphs(net.eval().requires_grad_(False), options), TINY.input_spec(options), tmp_path, "fp32")

    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == sorted(file.name for file in bundle.iterdir() if file.suffix != ".json")
    assert all((tmp_path / name).read_bytes() == (bundle / name).read_bytes() for name in files)


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def test_code_in_a_pickle_is_refused_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence names the function; nothing runs and nothing is written."""
    monkeypatch.chdir(tmp_path)
    message = _refusal(write_pickle(tmp_path, state(), optimizer=_RunsCode()), capsys)

    assert "posix.mkdir" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.999])
def test_a_truncated_pickle_is_refused_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: float) -> None:
    """Cut anywhere it is called damaged or no pickle."""
    path = write_pickle(tmp_path, state())
    os.truncate(path, int(path.stat().st_size * kept))

    assert "pickle of NumPy arrays" in _refusal(path, capsys)


def test_an_oversized_pickle_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its size is looked at before its content."""
    path = write_pickle(tmp_path, state())
    monkeypatch.setattr("edgeseg_export.weight_files._MAX_BYTES", path.stat().st_size - 1)
    monkeypatch.setattr("edgeseg_export.weight_files.read_pickle", lambda _: pytest.fail("was read"))

    assert "too large for a weights file" in _refusal(path, capsys)


def test_another_class_count_asks_for_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A net trained on other classes is told from another net, and with as many names it loads."""
    five = TINY.with_labels(["a", "b", "c", "d", "e"])
    message = _refusal(write_pickle(tmp_path, state(five)), capsys)

    assert "the checkpoint has 6 classes incl. background, the recipe tiny_d2 with its labels has 4" in message
    assert "Give its 5 class names, in training order, with --labels" in message


def test_a_file_of_old_caffe2_models_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Detectron's files hold blobs instead of a model."""
    path = tmp_path / "old.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.zeros((1, 1), np.float32)}, "cfg": "MODEL:"}, 2))

    assert "it also holds blobs, cfg" in _refusal(path, capsys)


def _official(checkout: Path, names: str) -> dict[str, np.ndarray]:
    """Zeros under the 307 official names."""
    table = json.loads(gzip.decompress((checkout / "tests" / "data" / "maskrcnn" / "keymap_detectron2.json.gz").read_bytes()))["keys"]
    return {entry[names]: np.broadcast_to(np.float32(0), entry[f"{names}_shape"]) for entry in table}


def test_the_code_bases_are_told_apart(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of one given to a recipe of the other is refused, and its own recipe is named."""
    path = tmp_path / "torchvision.pth"
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in _official(checkout, "torchvision").items()}, path)
    message = _refusal(path, capsys, "maskrcnn_resnet50_fpn_d2")
    assert "303 unexpected (backbone.body.conv1.weight (not a name of detectron2)" in message
    assert "It fits the recipe maskrcnn_resnet50_fpn: use that" in message
    path.unlink()

    weights = {name: torch.zeros(()).expand(value.shape) for name, value in _official(checkout, "detectron2").items()}
    torch.save({"model": weights, "iteration": 270000}, path)
    message = _refusal(path, capsys, "maskrcnn_resnet50_fpn")
    assert "It fits the recipe maskrcnn_resnet50_fpn_d2: use that" in message


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith("_d2")])
def test_official_names_load(checkout: Path, name: str) -> None:
    """All 307 names of the zoo, those of the deeper body, and those without the mask branch are exactly what the nets hold."""
    found = {name: torch.empty(value.shape, device="meta") for name, value in _official(checkout, "detectron2").items()}
    if "101" in name:
        block = {key: value for key, value in found.items() if ".res4.5." in key}
        found |= {key.replace(".res4.5.", f".res4.{i}."): value for key, value in block.items() for i in range(6, 23)}
    if name.startswith("faster"):
        found = {key: value for key, value in found.items() if ".mask_head." not in key}
    recipe = RECIPES[name]
    with torch.device("meta"):
        wanted = recipe.build_net().state_dict()

    held = recipe.arranged({str(recipe.canonical_key(key)): value for key, value in found.items()})

    assert {key: value.shape for key, value in held.items()} == {
        key: value.shape for key, value in wanted.items() if not key.endswith("num_batches_tracked")
    }
