"""``edgeseg quantize`` and ``edgeseg export --precision``: what they say and with which code they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch

from edgeseg.bundle import LEDGER, MANIFEST, read_bundle
from edgeseg.cli import main
from edgeseg.ledger import BUDGETS, Budget, read_ledger
from export.recipes import RECIPES
from tests.export.nets.facts import DATA

Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small photograph."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "coffee.png"), cv2.resize(cv2.imread(str(DATA / "coffee.png")), (150, 100)))
    return folder


@pytest.fixture
def bundle(tiny_float_bundle: Make, tmp_path: Path) -> Path:
    """A copy of a float32 bundle."""
    folder = tmp_path / "b"
    folder.mkdir()
    for file in tiny_float_bundle("plain").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def anything_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets that nobody trained may lose more than others."""
    for precision in ("fp16", "int8"):
        monkeypatch.setitem(BUDGETS, precision, Budget(1.0, 1e6, 0.0))


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code and both outputs."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.parametrize("place", ["b", "other"])
def test_a_bundle_gets_a_precision(
    bundle: Path, pictures: Path, anything_goes: None, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """In place of itself or elsewhere; the ledger is printed, and `inspect` shows it again."""
    out = bundle.with_name(place)
    given = ["--calibration", pictures, "--pictures", pictures]

    code, printed, _ = _run(capsys, "quantize", bundle, "--precision", "int8", *given, "--out", out)

    assert code == 0
    table, _, last = printed.strip().rpartition("\n")
    assert last == f"wrote {out}"
    assert "verdict" in table.splitlines()[0]
    assert table.splitlines()[1].startswith("int8")
    assert sorted(path.name for path in out.iterdir()) == ["key.int8.onnx", "key.onnx", LEDGER, MANIFEST]
    assert ("int8" in read_bundle(bundle).graphs["key"].files) == (place == "b")
    code, shown, _ = _run(capsys, "inspect", out)
    assert code == 0
    assert shown.endswith(f"{table}\n")
    code, shown, _ = _run(capsys, "inspect", out, "--json")
    assert [entry["precision"] for entry in json.loads(shown)["ledger"]] == ["int8"]


def test_beyond_the_budget_it_fails_unless_the_loss_is_accepted(
    bundle: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 1 and nothing written; --accept-loss writes and says so."""
    monkeypatch.setitem(BUDGETS, "fp16", Budget(0.0, 0.0, 1.1))
    given = ["--precision", "fp16", "--calibration", pictures, "--pictures", pictures, "--out", bundle]

    code, _, error = _run(capsys, "quantize", bundle, *given)
    assert (code, "fp16 loses more than its budget" in error, "the noisiest layers are" in error) == (1, True, True)
    assert sorted(path.name for path in bundle.iterdir()) == ["key.onnx", MANIFEST]

    code, printed, _ = _run(capsys, "quantize", bundle, *given, "--accept-loss")
    assert (code, "(accepted)" in printed) == (0, True)
    assert read_ledger(read_bundle(bundle)).of("fp16")["key"].accepted


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["b", "--precision", "int4", "--out", "o"], 2, "there is no precision 'int4'; choose of fp32, fp16, int8, bf16"),
        (["b", "--out", "o"], 2, "the following arguments are required: --precision"),
        (["b", "--precision", "int8"], 2, "the following arguments are required: --out"),
        (["none", "--precision", "int8", "--out", "o"], 1, "there is no bundle at none"),
        (["taken", "--precision", "int8", "--out", "o"], 1, "taken is not a bundle"),
        (["b", "--precision", "int8", "--out", "taken"], 2, "taken exists and is not a bundle; it will not be replaced"),
        (["b", "--precision", "int8", "--out", "missing/o"], 2, "missing does not exist; make the folder first"),
        (["b", "--precision", "int8", "--calibration", "none", "--out", "o"], 1, "there is no file or folder 'none'"),
        (["b", "--precision", "int8", "--pictures", "none", "--out", "o"], 1, "there is no file or folder 'none'"),
    ],
)
def test_what_will_not_do_is_one_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    """That says what is wrong; nothing is written."""
    monkeypatch.chdir(bundle.parent)
    (bundle.parent / "taken").mkdir()
    (bundle.parent / "taken" / "file").touch()

    found, _, error = _run(capsys, "quantize", *arguments)

    assert (found, message in error.splitlines()[-1]) == (code, True), error
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["b", "taken"]


def test_export_makes_all_precisions_at_once(
    pictures: Path, tmp_path: Path, anything_goes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ledger goes from the network to the float32 graph and from that to the others; every step is told."""
    torch.manual_seed(0)
    weights, out = tmp_path / "demo.pth", tmp_path / "out"
    torch.save(RECIPES["yolact_demo"].build_net().state_dict(), weights)
    given = ["--size", "96", "--calibration", pictures, "--pictures", pictures, "--precision", "fp32,fp16,int8"]

    code, printed, _ = _run(capsys, "export", "yolact_demo", "--weights", weights, "--out", out, *given)

    assert code == 0
    assert "graph key: same as the network on 1 pictures" in printed
    bundle = read_bundle(out)
    assert bundle.graphs["key"].files == {"fp32": "key.onnx", "fp16": "key.fp16.onnx", "int8": "key.int8.onnx"}
    entries = read_ledger(bundle).entries
    assert [(entry.precision, entry.against, entry.pictures) for entry in entries] == [
        ("fp32", "torch", 1),
        ("fp16", "fp32", 1),
        ("int8", "fp32", 1),
    ]
    assert entries[0].over() == ()
    assert entries[0].tensor_error["prototypes"] < 1e-4
    assert all(f"\n{entry.precision}" in printed for entry in entries)


def test_export_refuses_an_unknown_precision_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights are not even looked for."""
    monkeypatch.chdir(tmp_path)

    code, _, error = _run(capsys, "export", "yolact_base", "--weights", "none.pth", "--out", "o", "--precision", "fp32,fp8")

    assert (code, "there is no precision 'fp8'" in error) == (2, True)
