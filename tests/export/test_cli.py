"""``edgeseg export``: what it says and with which code it ends."""

from __future__ import annotations

import importlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edgeseg.bundle import read_bundle
from edgeseg.cli import main
from export.cli import parity_text
from export.recipes import RECIPES

DEMO = RECIPES["yolact_demo"]
RCNN = ["maskrcnn_resnet50_fpn", "--weights", "w.pth", "--out", "o"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained demo net's weights file."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "demo.pth"
    torch.save(DEMO.build_net().state_dict(), file)
    return file


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with one small picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "noise.png"), np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    return folder


def _fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on the error output, which is no traceback."""
    code = main(["export", *map(str, arguments)])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error.splitlines()[-1]


def test_a_checkpoint_is_exported(weights: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the options that change the graph; the output tells the proof and the place."""
    out = tmp_path / "out"
    options = ["--size", "96", "--input-dtype", "float32", "--cross-class-nms", "--pictures", pictures]

    code = main([str(argument) for argument in ["export", "yolact_demo", "--weights", weights, "--out", out, *options]])

    printed = capsys.readouterr().out
    bundle = read_bundle(out)
    assert code == 0
    assert "graph key: same as the network on 1 pictures" in printed
    assert f"wrote {out}" in printed
    assert (bundle.input.size, bundle.input.dtype) == ((96, 96), "float32")
    assert {spec.name: spec.shape for spec in bundle.graphs["key"].outputs}["scores"] == (200,)


def test_labels_of_the_users_own_name_the_classes(weights: Path, pictures: Path, tmp_path: Path) -> None:
    """In the order of the file, with category ids from 1."""
    names = [f"class {i}" for i in range(len(DEMO.labels))]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n\n")
    out = tmp_path / "out"
    options = ["--labels", tmp_path / "names.txt", "--size", "96", "--pictures", pictures]

    assert main([str(argument) for argument in ["export", "yolact_demo", "--weights", weights, "--out", out, *options]]) == 0

    manifest = json.loads((out / "model.json").read_text())
    assert [(label["name"], label["category_id"]) for label in manifest["labels"]] == [(name, i + 1) for i, name in enumerate(names)]


def test_list_prints_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, with what it is: a video recipe says so."""
    assert main(["export", "--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert "yolact_plus_resnet50" in lines[7]
    assert lines[7].endswith("resnet 3-4-6-3, deformable, 550 x 550, 80 classes")
    assert [line.split()[0] for line in lines if line.endswith(", video")] == [
        "yolact_edge_vid",
        "yolact_edge_vid_resnet50",
        "yolact_edge_vid_minimal",
        "yolact_demo_video",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "export needs RECIPE, --weights, --out; see: edgeseg export --help"),
        (["yolact_base"], "export needs --weights, --out"),
        (["yolact_base", "--weights", "w.pth"], "export needs --out"),
        (["yolact_resnet5", "--weights", "w.pth", "--out", "o"], "there is no recipe 'yolact_resnet5'; did you mean yolact_resnet50"),
        (["detr", "--weights", "w.pth", "--out", "o"], "there is no recipe 'detr'; `edgeseg export --list` prints all recipes"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--size", "10"], "an input size of 10 is too small"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--size", "ten"], "'ten' is not a number of pixels, nor two with a comma"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--size", "550,700"], "yolact_base has a square input; give one number"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--frame", "720x1280"], "does not take --frame; of the options that change"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--target", "cpu"], "does not take --target"),
        (
            [*RCNN, "--cross-class-nms"],
            "does not take --cross-class-nms; of the options that change a graph it takes --size, --frame, --proposals",
        ),
        ([*RCNN, "--frame", "720"], "'720' is not a shape such as 720x1280, height first"),
        ([*RCNN, "--frame", "0x1280"], "frames of 0x1280 at a size of 800,1333: all must lie in 1..16384"),
        ([*RCNN, "--frame", "1x5000"], "frames of 1x5000 at a size of 800,1333 would have no pixel left on one side"),
        ([*RCNN, "--size", "800,600"], "and the smaller size comes first"),
        ([*RCNN, "--proposals", "0"], "--proposals 0 is outside 1..1000"),
        ([*RCNN, "--detections", "1001"], "--detections 1001 is outside 1..1000"),
        ([*RCNN, "--min-score", "1.5"], "--min-score 1.5 is outside 0..1"),
        ([*RCNN, "--fit", "stretch"], "invalid choice: 'stretch'"),
        ([*RCNN, "--target", "cuda"], "invalid choice: 'cuda'"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--input-dtype", "float16"], "invalid choice: 'float16'"),
        (["yolact_plus_base", "--weights", "w.pth", "--out", "o", "--size", "200"], "use 249 or more"),
        (["yolact_base", "--weights", "w.pth", "--out", "o", "--labels", "no.txt"], "no.txt cannot be read as a list of class names"),
        (["yolact_base", "--weights", "w.pth", "--out", "missing/o"], "missing does not exist; make the folder first"),
        (["yolact_base", "--weights", "w.pth", "--out", "taken"], "taken exists and is not a bundle; it will not be replaced"),
        (["yolact_base", "--wieghts", "w.pth"], "unrecognized arguments: --wieghts"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_two(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read or written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()

    code, error = _fails(capsys, *arguments)

    assert (code, message in error) == (2, True), error
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


class _Code:
    """What a hostile file would hold: loading it must not create this file."""

    def __init__(self, made: Path) -> None:
        self._made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._made),)


def _missing(file: Path, _: dict[str, torch.Tensor]) -> None:
    assert not file.exists()


def _truncated(file: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, file)
    file.write_bytes(file.read_bytes()[:100_000])


def _code(file: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({**state, "hook": _Code(file.with_name("harmed"))}, file)


def _bare_code(file: Path, _: dict[str, torch.Tensor]) -> None:
    file.write_bytes(pickle.dumps(_Code(file.with_name("harmed")), protocol=2))


def _other_classes(file: Path, state: dict[str, torch.Tensor]) -> None:
    names = [f"class {i}" for i in range(len(DEMO.labels) + 2)]
    torch.save(DEMO.with_labels(names).build_net().state_dict(), file)


def _incomplete(file: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({name: value for name, value in state.items() if "proto_net" not in name}, file)


@pytest.mark.parametrize(
    ("make", "recipe", "message"),
    [
        (_missing, "yolact_demo", "there is no such file; give the path of a .pth or .pkl file"),
        (_truncated, "yolact_demo", "damaged, cut short or something else. Download or copy it again"),
        (_code, "yolact_demo", "refused, because besides weights it holds Python objects"),
        (_bare_code, "yolact_demo", "refused, because besides weights it holds Python objects"),
        (_other_classes, "yolact_demo", "classes incl. background, the recipe yolact_demo"),
        (_incomplete, "yolact_demo", "does not fit the recipe yolact_demo. Keys: 10 missing (proto_net.0.weight"),
        (lambda file, state: torch.save(state, file), "yolact_edge_mobilenetv2", "It fits the recipe yolact_demo: use that"),
    ],
    ids=["missing", "truncated", "code", "bare_code", "class_count", "incomplete", "wrong_recipe"],
)
def test_weights_that_will_not_do_end_with_one(
    weights: Path, tmp_path: Path, make: Any, recipe: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind says what is wrong and what to do; no bundle is written and no code of the file has run."""
    file = tmp_path / "given.pth"
    make(file, torch.load(weights, weights_only=True))

    code, error = _fails(capsys, recipe, "--weights", file, "--out", tmp_path / "out")

    assert (code, message in error, str(file) in error) == (1, True, True), error
    assert {path.name for path in tmp_path.iterdir()} <= {"given.pth"}


def test_flow_weights_for_a_net_that_takes_none_are_wrong_usage(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The option is named, and nothing is written."""
    code, error = _fails(capsys, "yolact_demo", "--weights", weights, "--flow-weights", weights, "--out", tmp_path / "out")

    assert (code, "leave out --flow-weights" in error) == (2, True), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the list of class names is empty"),
        (b"\xff\xfe\x00", "cannot be read as a list of class names, one a line, UTF-8"),
        (b"cup\n\nbowl\n", "class 2 has no name"),
        (b"cup\nbowl\ncup\n", "class names must differ; more than once: cup"),
        (b"x" * 1_000_001, "is larger than 1000000 bytes"),
    ],
)
def test_lists_of_names_that_will_not_do_are_wrong_usage(
    weights: Path, tmp_path: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what a list of names is."""
    (tmp_path / "names.txt").write_bytes(content)

    code, error = _fails(capsys, "yolact_demo", "--weights", weights, "--out", tmp_path / "out", "--labels", tmp_path / "names.txt")

    assert (code, message in error) == (2, True), error


def test_pictures_that_are_not_there_are_an_error(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be proved without them."""
    code, error = _fails(capsys, "yolact_demo", "--weights", weights, "--out", tmp_path / "out", "--pictures", tmp_path / "none")

    assert code in (1, 2)
    assert "none" in error


@pytest.mark.parametrize("package", ["torch", "onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_the_error_names_it(
    weights: Path, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the recipes can be listed all the same."""
    real = importlib.import_module

    def import_module(name: str, package_of: str | None = None) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, package_of)

    monkeypatch.setattr(importlib, "import_module", import_module)

    code, error = _fails(capsys, "yolact_demo", "--weights", weights, "--out", tmp_path / "out")

    assert code == 1
    assert f"(No module named '{package}'). Install it with: pip install 'edgeseg[export]'" in error
    assert main(["export", "--list"]) == 0


def test_an_official_file_name_of_another_net_is_noticed(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nets that differ in input size only load into each other: the name is the one sign."""
    file = tmp_path / "yolact_im700_54_800000.pth"
    file.write_bytes(weights.read_bytes())

    main(["export", "yolact_base", "--weights", str(file), "--out", str(tmp_path / "out")])

    assert "note: the file name says yolact_im700" in capsys.readouterr().err


def test_a_comparison_says_what_it_was_made_on() -> None:
    """Key frames on pictures, warped frames on pairs of them."""
    parity = {"pictures": 2, "instances": 30, "unmatched": 0, "max_score_error": 1e-6, "min_mask_iou": 1.0}

    assert parity_text("key", parity) == (
        "graph key: same as the network on 2 pictures: 30 instances, 0 unmatched, score error 1.0e-06, mask IoU 1.0000"
    )
    assert parity_text("warp", parity).startswith("graph warp: same as the network on 2 pairs of pictures: 30 instances")


def test_a_comparison_without_instances_says_what_it_does_not_prove() -> None:
    """A network that finds nothing on the pictures has proved its dense outputs only, where it has any."""
    text = parity_text("key", {"pictures": 2, "instances": 0, "dense_error": {"prototypes": 1e-6}})

    assert "same dense outputs as the network on 2 pictures" in text
    assert "same" not in parity_text("key", {"pictures": 2, "instances": 0, "dense_error": {}})
    assert "unproven" in text
    assert "--pictures" in text
