"""The ledger: what it vouches for, and what a user is told where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgeseg
from edgeseg.bundle import LEDGER, MANIFEST, Bundle, read_bundle, sha256
from edgeseg.errors import BundleError
from edgeseg.ledger import BUDGETS, Entry, Ledger, PrecisionWarning, caution, read_ledger
from tests.bundles import tiny_bundle

ENTRY = Entry(
    precision="int8",
    graph="key",
    against="fp32",
    backend="onnxruntime 1.2.3",
    sha256="0" * 64,
    pictures=16,
    instances=100,
    lost=1,
    extra=2,
    score=0.3,
    max_score_error=0.05,
    mean_score_error=0.01,
    max_box_error_px=2.0,
    min_mask_iou=0.7,
    mean_mask_iou=0.99,
    tensor_error={"prototypes": 0.1},
    float_layers=("a", "b"),
    worst_layers={"c": 0.01},
)


def _bundle(folder: Path, precisions: tuple[str, ...] = ("fp32", "int8")) -> Path:
    """A bundle of one graph, with the same file under several precisions."""
    tiny_bundle(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    files = manifest["graphs"]["key"]["files"]
    for precision in precisions[1:]:
        files[precision] = f"key.{precision}.onnx"
        # The graph gets another name, so that the file has another hash.
        (folder / files[precision]).write_bytes((folder / "key.onnx").read_bytes().replace(b"tiny", b"thin"))
    return _write(folder, manifest)


def _write(folder: Path, manifest: dict[str, Any]) -> Path:
    files = [path for path in folder.iterdir() if path.name != MANIFEST]
    (folder / MANIFEST).write_text(json.dumps({**manifest, "hashes": {path.name: sha256(path) for path in files}}))
    return folder


def _with_ledger(folder: Path, content: object) -> Bundle:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / LEDGER).write_text(text)
    return read_bundle(_write(folder, json.loads((folder / MANIFEST).read_text())))


def _measured(bundle: Path, **changes: Any) -> Bundle:
    """The bundle, with an entry of its own int8 file."""
    entry = replace(ENTRY, sha256=sha256(bundle / "key.int8.onnx"), **changes)
    return _with_ledger(bundle, Ledger((entry,)).to_json())


def test_a_ledger_reads_as_it_was_written(tmp_path: Path) -> None:
    """With every field of every entry."""
    ledger = Ledger((ENTRY, replace(ENTRY, precision="fp32", against="torch", ap=0.4, reference_ap=0.5, accepted=True)))

    assert read_ledger(_with_ledger(_bundle(tmp_path / "b"), ledger.to_json())) == ledger
    assert ledger.of("int8") == {"key": ENTRY}
    assert ledger.of("fp16") == {}


def test_what_overflows_is_valid_json_and_reads_back(tmp_path: Path) -> None:
    """JSON has no infinity, and other programs read the file too."""
    entry = replace(ENTRY, tensor_error={"prototypes": float("inf"), "sum4": 0.5}, worst_layers={"a": float("inf")})
    text = json.dumps(Ledger((entry,)).to_json(), allow_nan=False)

    assert read_ledger(_with_ledger(_bundle(tmp_path / "b"), text)).entries == (entry,)
    assert entry.over() == ("output prototypes holds infinite values or NaN",)


def test_a_bundle_without_a_ledger_has_an_empty_one(tmp_path: Path) -> None:
    """A file of that name that the manifest does not hash is not believed."""
    folder = _bundle(tmp_path / "b")
    (folder / LEDGER).write_text(json.dumps(Ledger((ENTRY,)).to_json()))

    assert read_ledger(read_bundle(folder)) == Ledger()


def test_the_file_tells_people_the_verdict_but_the_runtime_judges_anew(tmp_path: Path) -> None:
    """An entry over budget stays so whatever the file says of it."""
    content = Ledger((replace(ENTRY, lost=50),)).to_json()
    assert content["entries"][0]["over_budget"] == ["50 of 100 instances lost and 2 extra, 15 are allowed"]
    content["entries"][0]["over_budget"] = []

    (entry,) = read_ledger(_with_ledger(_bundle(tmp_path / "b"), content)).entries

    assert entry.over() == ("50 of 100 instances lost and 2 extra, 15 are allowed",)


def test_fields_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    """So that an older runtime reads what it knows."""
    content = Ledger((ENTRY,)).to_json()
    content["entries"][0]["colour"] = "red"

    assert read_ledger(_with_ledger(_bundle(tmp_path / "b"), content)).entries == (ENTRY,)


def _changed(**changes: object) -> dict[str, Any]:
    content = Ledger((ENTRY,)).to_json()
    content["entries"][0] |= changes
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a valid ledger"),
        ("{", "is not a valid ledger"),
        ("[" * 100_000, "is not a valid ledger"),
        ([], "is not a valid ledger"),
        ("null", "is not a valid ledger"),
        ({"entries": []}, "is not a valid ledger"),
        ({"format": "edgeseg-bundle", "format_version": 1, "entries": []}, "is not a ledger that this edgeseg reads. Upgrade"),
        ({"format": "edgeseg-ledger", "format_version": 2, "entries": []}, "is not a ledger that this edgeseg reads. Upgrade"),
        ({"format": "edgeseg-ledger", "format_version": "1", "entries": []}, "is not a valid ledger"),
        ({"format": "edgeseg-ledger", "format_version": 1}, "is not a valid ledger"),
        ({"format": "edgeseg-ledger", "format_version": 1, "entries": [7]}, "is not a valid ledger"),
        ({"format": "edgeseg-ledger", "format_version": 1, "entries": [{}]}, "is not a valid ledger"),
        (_changed(lost="many"), "lost is 'many', not a whole number"),
        (_changed(instances=1.5), "instances is 1.5, not a whole number"),
        (_changed(mean_mask_iou=None), "mean_mask_iou is None, not a number"),
        (_changed(ap="0.5"), "ap is '0.5', not a number"),
        (_changed(reference_ap=[0.5]), "reference_ap is .*, not a number"),
        (_changed(float_layers=7), "is not a valid ledger"),
        (_changed(min_mask_iou="low"), "min_mask_iou is 'low', not a number"),
        (_changed(precision=["int8"]), "precision is .*, not a text"),
        (_changed(sha256=None), "sha256 is None, not a text"),
        (_changed(tensor_error={"prototypes": "large"}), "tensor_error is .*, not numbers by name"),
        (_changed(worst_layers=[1]), "worst_layers is .*, not numbers by name"),
        ("[" + " " * 4_000_000 + "]", "is larger than 4000000 bytes"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_what_is_no_ledger_is_a_damaged_bundle(tmp_path: Path, content: object, message: str) -> None:
    """One error that names the file, whatever is wrong with it."""
    bundle = _with_ledger(_bundle(tmp_path / "b"), content)

    with pytest.raises(BundleError, match=message) as caught:
        read_ledger(bundle)
    assert str(tmp_path / "b" / LEDGER) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"lost": 10, "extra": 5}, 0),
        ({"lost": 10, "extra": 6}, 1),
        ({"lost": 0, "extra": 16}, 1),
        ({"instances": 3, "lost": 0, "extra": 1}, 0),
        ({"instances": 3, "lost": 1, "extra": 1}, 1),
        ({"mean_mask_iou": 0.95}, 0),
        ({"mean_mask_iou": 0.9499}, 1),
        ({"mean_mask_iou": float("nan")}, 1),
        ({"mean_mask_iou": 0.9, "lost": 99}, 2),
        ({"min_mask_iou": 0.0, "max_score_error": 1.0, "max_box_error_px": 1e3}, 0),
        ({"reference_ap": 0.5, "ap": 0.4901}, 0),
        ({"reference_ap": 0.5, "ap": 0.4899}, 1),
        ({"reference_ap": 0.5, "ap": 0.6}, 0),
        ({"reference_ap": 0.5, "ap": float("nan")}, 1),
        ({"tensor_error": {"prototypes": 50.0}}, 0),
        ({"tensor_error": {"prototypes": float("inf")}}, 1),
        ({"tensor_error": {"prototypes": float("nan")}, "reference_ap": 0.5, "ap": 0.5}, 1),
        # Where there is ground truth, it decides alone.
        ({"reference_ap": 0.5, "ap": 0.5, "lost": 99, "mean_mask_iou": 0.1}, 0),
        ({"reference_ap": 0.5, "ap": None, "lost": 99}, 1),
    ],
    ids=str,
)
def test_the_budget_of_int8_at_its_edges(changes: dict[str, Any], problems: int) -> None:
    """15 in 100 instances may differ and one always may; masks overlap 0.95 on average; AP falls by one point at most."""
    assert len(replace(ENTRY, **changes).over()) == problems


@pytest.mark.parametrize(
    ("precision", "differing", "iou", "ap_loss"),
    [("fp32", 2, 0.999, 0.0005), ("fp16", 3, 0.99, 0.001), ("bf16", 10, 0.97, 0.005), ("int8", 15, 0.95, 0.01), ("fp8", 2, 0.999, 0.0005)],
)
def test_every_precision_has_its_own_budget(precision: str, differing: int, iou: float, ap_loss: float) -> None:
    """One that is not known has the strictest."""
    entry = replace(ENTRY, precision=precision, extra=0, lost=differing, mean_mask_iou=iou)

    assert entry.over() == ()
    assert replace(entry, lost=differing + 1).over() != ()
    assert replace(entry, mean_mask_iou=iou - 1e-4).over() != ()
    assert replace(entry, reference_ap=ap_loss, ap=1e-6).over() == ()
    assert replace(entry, reference_ap=ap_loss + 1e-6, ap=0.0).over() != ()
    assert set(BUDGETS) == {"fp32", "fp16", "bf16", "int8"}


def test_a_verdict_names_what_was_measured_and_what_is_allowed() -> None:
    """In percent points of AP, as papers do."""
    assert replace(ENTRY, reference_ap=0.5, ap=0.4877).over() == ("AP falls by 1.23 points, 1 are allowed",)
    assert replace(ENTRY, mean_mask_iou=0.9).over() == ("mean mask IoU 0.9000, 0.95 is the least allowed",)


def test_a_precision_that_was_measured_and_is_within_budget_needs_no_caution(tmp_path: Path) -> None:
    """The ledger vouches for it."""
    assert caution(_measured(_bundle(tmp_path / "b")), "int8", ["key"]) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": "warp"}, "nobody measured how much graph 'key' loses in int8 (no entry in ledger.json)"),
        ({"precision": "fp16"}, "nobody measured how much graph 'key' loses in int8 (no entry in ledger.json)"),
        ({"lost": 20}, "graph 'key' is over its budget: 20 of 100 instances lost and 2 extra, 15 are allowed"),
        ({"lost": 20, "accepted": True}, "instances lost and 2 extra, 15 are allowed (accepted when it was made)"),
    ],
)
def test_what_the_ledger_does_not_vouch_for_needs_caution(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """The text names bundle, precision, graph and reason."""
    text = caution(_measured(_bundle(tmp_path / "b"), **changes), "int8", ["key"])

    assert text.startswith(f"{tmp_path / 'b'} in int8: ")
    assert text.endswith(message)


def test_an_entry_of_another_file_vouches_for_nothing(tmp_path: Path) -> None:
    """Such as one that was measured before the graph was made anew."""
    bundle = _with_ledger(_bundle(tmp_path / "b"), Ledger((ENTRY,)).to_json())

    assert "the ledger's entry for graph 'key' is of another file than key.int8.onnx" in caution(bundle, "int8", ["key"])


def test_a_backends_own_precision_is_vouched_for_by_the_file_that_it_runs(tmp_path: Path) -> None:
    """bf16 has no file: its entry is of the float32 one."""
    folder = _bundle(tmp_path / "b")

    def of(file: str) -> Bundle:
        return _with_ledger(folder, Ledger((replace(ENTRY, precision="bf16", sha256=sha256(folder / file)),)).to_json())

    assert caution(of("key.onnx"), "bf16", ["key"]) == ""
    assert "another file than key.onnx" in caution(of("key.int8.onnx"), "bf16", ["key"])
    assert "nobody measured" in caution(of("key.onnx"), "int8", ["key"])


def test_float32_without_a_ledger_is_not_suspected(tmp_path: Path) -> None:
    """Bundles from before there were ledgers run as they did; one with a ledger is held to it."""
    folder = _bundle(tmp_path / "b")

    assert caution(read_bundle(folder), "fp32", ["key"]) == ""
    assert "nobody measured" in caution(read_bundle(folder), "int8", ["key"])
    assert "another file" in caution(_with_ledger(folder, Ledger((replace(ENTRY, precision="fp32"),)).to_json()), "fp32", ["key"])


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., None]:
    """Loads the bundle in a precision."""

    def load(precision: str, backend: str = "onnxruntime") -> None:
        edgeseg.load(tmp_path / "b", backend=backend, precision=precision, threads=1).close()

    return load


def test_loading_warns_of_what_the_ledger_does_not_vouch_for(tmp_path: Path, load: Callable[..., None]) -> None:
    """Once, in the words of the caution, as a warning of its own class; what is vouched for is silent."""
    folder = _bundle(tmp_path / "b")
    load("fp32")
    with pytest.warns(PrecisionWarning, match="b in int8: nobody measured how much graph 'key' loses") as caught:
        load("int8")
    assert len(caught) == 1
    assert caught[0].filename == __file__

    _measured(folder)
    load("int8")

    _measured(folder, lost=50, accepted=True)
    with pytest.warns(PrecisionWarning, match=r"is over its budget: 50 of 100 .* \(accepted when it was made\)"):
        load("int8")


def test_a_damaged_ledger_stops_loading(tmp_path: Path, load: Callable[..., None]) -> None:
    """As any damage of a bundle does."""
    _with_ledger(_bundle(tmp_path / "b"), "{")

    with pytest.raises(BundleError, match="is not a valid ledger"):
        load("fp32")
