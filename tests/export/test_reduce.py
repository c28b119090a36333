"""Precisions are added to a bundle: the files, the ledger, the search within the budget, and the refusal beyond it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

import edgeseg
from edgeseg.backends import openvino
from edgeseg.bundle import LEDGER, MANIFEST, Bundle, read_bundle, sha256
from edgeseg.errors import BundleError, ExportError, UsageError
from edgeseg.evaluation.agreement import Agreement
from edgeseg.ledger import BUDGETS, Budget, Entry, caution, read_ledger
from edgeseg.sources.synthetic import LABELS
from edgeseg.types import U8Array
from export.precision.layers import LayerGraph
from export.reduce import Reduction, quantise, reduction_of
from export.samples import Sample, Samples, shipped
from tests.export.nets.facts import DATA
from tests.export.precision.graphs import arrays_of

Make = Callable[[str], Path]
EVERYTHING = Budget(ap_loss=1.0, disagreement=1e6, mask_iou=0.0)


@pytest.fixture(scope="module")
def picture() -> U8Array:
    """A small photograph."""
    return cv2.resize(cv2.imread(str(DATA / "coffee.png")), (150, 100))


@pytest.fixture
def reduction(picture: U8Array) -> Callable[..., Reduction]:
    """What is to be added, calibrated and compared on one picture."""
    samples = Samples("one picture", 1, lambda: iter([Sample(picture)]))

    def make(*precisions: str, **options: bool) -> Reduction:
        return Reduction(precisions, samples, samples, **options)

    return make


@pytest.fixture
def anything_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets that nobody trained may lose more than others: what is tested is not how much."""
    for precision in ("fp16", "bf16", "int8"):
        monkeypatch.setitem(BUDGETS, precision, EVERYTHING)


def _quantise(source: Path, out: Path, reduction: Reduction) -> tuple[Bundle, dict[tuple[str, str], Entry]]:
    """The bundle, and its ledger by precision and graph."""
    bundle = quantise(source, out, reduction, lambda _: None)
    return bundle, {(entry.precision, entry.graph): entry for entry in read_ledger(bundle).entries}


def _copied(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _places(file: Path) -> dict[str, set[tuple[str, str]]]:
    """File of weights -> where the graph's weights lie in it."""
    found: dict[str, set[tuple[str, str]]] = {}
    for tensor in onnx.load(file, load_external_data=False).graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries:
            found.setdefault(entries["location"], set()).add((entries["offset"], entries["length"]))
    return found


def test_a_video_bundle_gets_every_precision(
    tiny_float_bundle: Make,
    reduction: Callable[..., Reduction],
    anything_goes: None,
    tmp_path: Path,
    picture: U8Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both graphs in files of their own that share weights, an entry for each, hashes of all; every one runs on both backends."""
    told: list[str] = []
    out = tmp_path / "out"
    # Which CPUs have bfloat16 is a test of its own.
    monkeypatch.setattr(openvino, "_require_bf16", lambda _: None)

    bundle = quantise(tiny_float_bundle("video"), out, reduction("fp32", "fp16", "int8", "bf16"), told.append)

    names = ["fp16.weights.bin", "int8.weights.bin", "key.fp16.onnx", "key.int8.onnx", "key.onnx", LEDGER, MANIFEST]
    assert sorted(path.name for path in out.iterdir()) == [*names, "warp.fp16.onnx", "warp.int8.onnx", "warp.onnx", "weights.bin"]
    assert bundle == read_bundle(out)
    for name, graph in bundle.graphs.items():
        assert graph.files == {"fp32": f"{name}.onnx", "fp16": f"{name}.fp16.onnx", "int8": f"{name}.int8.onnx"}
    for precision in ("fp16", "int8"):
        key, warp = (_places(out / f"{name}.{precision}.onnx") for name in ("key", "warp"))
        assert key.keys() == warp.keys() == {f"{precision}.weights.bin"}
        assert len(key[f"{precision}.weights.bin"] & warp[f"{precision}.weights.bin"]) > 5
        for name in ("key", "warp"):
            onnx.checker.check_model(str(out / f"{name}.{precision}.onnx"), full_check=True)
    entries = {(entry.precision, entry.graph): entry for entry in read_ledger(bundle).entries}
    assert entries.keys() == {(precision, graph) for precision in ("fp16", "int8", "bf16") for graph in ("key", "warp")}
    for (precision, graph), entry in entries.items():
        file = bundle.graphs[graph].files.get(precision, f"{graph}.onnx")
        assert (entry.sha256, entry.against, entry.pictures) == (sha256(out / file), "fp32", 1)
        assert entry.backend.startswith("openvino" if precision == "bf16" else "onnxruntime")
        assert entry.instances > 5
        assert caution(bundle, precision, [graph]) == ""
    assert any("int8: calibrating graph warp" in line for line in told)
    assert any("bf16: comparing" in line for line in told)
    for precision in ("fp16", "int8"):
        for backend in ("onnxruntime", "openvino"):
            with edgeseg.load(out, backend=backend, precision=precision, threads=1, score_threshold=0.05) as model:
                assert len(model(picture).instances) > 0


def test_half_is_measured_with_its_rounding_and_written_in_half(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], anything_goes: None, tmp_path: Path
) -> None:
    """What lies in the bundle has half weights; the float twin that was measured is gone."""
    bundle, entries = _quantise(tiny_float_bundle("plain"), tmp_path / "out", reduction("fp16"))

    arrays = arrays_of(onnx.load(bundle.file("key", "fp16")))
    assert sum(values.dtype == np.float16 for values in arrays.values()) > 20
    assert 0 < entries["fp16", "key"].tensor_error["prototypes"] < 0.1
    assert entries["fp16", "key"].mean_mask_iou > 0.95


def test_a_mask_rcnn_gets_int8(tiny_float_bundle: Make, reduction: Callable[..., Reduction], anything_goes: None, tmp_path: Path) -> None:
    """A bundle of one graph keeps its weights inside; the file is about a quarter of the float one."""
    bundle, entries = _quantise(tiny_float_bundle("rcnn"), tmp_path / "out", reduction("int8"))

    assert sorted(bundle.hashes) == ["key.int8.onnx", "key.onnx", LEDGER]
    assert entries.keys() == {("int8", "key")}
    weights = [sum(values.nbytes for values in arrays_of(onnx.load(bundle.file("key", one))).values()) for one in ("fp32", "int8")]
    assert weights[1] < weights[0] / 2


def test_a_bundle_keeps_what_is_not_made_anew(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], anything_goes: None, tmp_path: Path
) -> None:
    """In place of itself: other precisions stay with their entries, the same precision is replaced, by the same."""
    out = _copied(tiny_float_bundle("plain"), tmp_path / "b")

    first, entries = _quantise(out, out, reduction("int8"))
    both, more = _quantise(out, out, reduction("fp16"))
    again, last = _quantise(out, out, reduction("int8"))

    assert first.graphs["key"].files.keys() == {"fp32", "int8"}
    assert both.graphs["key"].files.keys() == again.graphs["key"].files.keys() == {"fp32", "int8", "fp16"}
    assert more["int8", "key"] == entries["int8", "key"] == last["int8", "key"]
    assert last["fp16", "key"] == more["fp16", "key"]
    assert again.hashes["key.int8.onnx"] == first.hashes["key.int8.onnx"]
    assert list(tmp_path.iterdir()) == [out]


def _over_until(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Every attempt is over budget that leaves fewer layers in float."""
    monkeypatch.setattr(Entry, "over", lambda self: () if len(self.float_layers) >= count else ("too little is float",))


def test_layers_are_left_in_float_until_the_loss_is_within_the_budget(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First none, then the last ones of the heads, then the noisiest too; the ledger names them and the file has their float weights."""
    source = tiny_float_bundle("plain")
    layers = LayerGraph(onnx.load(source / "key.onnx"))
    last = set(layers.last_layers)
    floats = []
    for count in (0, 1, len(last) + 1):
        _over_until(monkeypatch, count)
        bundle, entries = _quantise(source, tmp_path / str(count), reduction("int8"))
        floats.append(entries["int8", "key"].float_layers)
        arrays = arrays_of(onnx.load(bundle.file("key", "int8")))
        assert {name for name, layer in layers.layers.items() if layer.weight in arrays} == set(floats[-1])

    assert floats[0] == ()
    assert set(floats[1]) == last
    assert last < set(floats[2]) <= set(layers.layers)
    assert len(floats[2]) <= len(last) + 8
    assert list(floats[2]) == [name for name in layers.layers if name in floats[2]], "in the order of the graph"


def test_beyond_the_budget_nothing_is_written_and_the_worst_layers_are_named(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how far it is off, and with what would write it all the same; a bundle in that place stays as it was."""
    out = _copied(tiny_float_bundle("plain"), tmp_path / "b")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    layers = LayerGraph(onnx.load(out / "key.onnx")).layers
    _over_until(monkeypatch, 1000)

    with pytest.raises(ExportError, match="int8 loses more than its budget") as caught:
        quantise(out, out, reduction("int8"), lambda _: None)

    text = str(caught.value)
    assert "graph 'key': too little is float; the noisiest layers are " in text
    assert sum(f"{name} (" in text for name in layers) == 5
    assert text.endswith("--accept-loss writes it nevertheless. Nothing was written.")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_an_accepted_loss_is_written_and_recorded(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the worst layers; the runtime warns of it later."""
    monkeypatch.setitem(BUDGETS, "int8", Budget(0, 0, 1.1))

    bundle, entries = _quantise(tiny_float_bundle("plain"), tmp_path / "out", reduction("int8", accept_loss=True))

    entry = entries["int8", "key"]
    assert entry.accepted
    assert len(entry.worst_layers) == 5
    assert list(entry.worst_layers.values()) == sorted(entry.worst_layers.values(), reverse=True)
    assert "(accepted when it was made)" in caution(bundle, "int8", ["key"])
    content = json.loads((tmp_path / "out" / LEDGER).read_text())
    assert content["entries"][0]["over_budget"][0].startswith("mean mask IoU")


def test_the_last_attempt_is_measured_on_all_pictures(
    tiny_float_bundle: Make, picture: U8Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few may be too few to judge it, and are too few for the ledger."""
    six = Samples("six pictures", 6, lambda: iter([Sample(picture)] * 6))
    monkeypatch.setattr(Entry, "over", lambda self: ("too few pictures",) * (self.pictures < 6))

    _, entries = _quantise(tiny_float_bundle("plain"), tmp_path / "out", Reduction(("fp16",), six.first(1), six))

    assert entries["fp16", "key"].pictures == 6
    assert not entries["fp16", "key"].accepted


def test_wide_layers_stay_float_in_half_precision(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], anything_goes: None, tmp_path: Path
) -> None:
    """Those whose numbers come near the largest that half precision holds, and those that read them."""
    source = _copied(tiny_float_bundle("plain"), tmp_path / "b")
    model = onnx.load(source / "key.onnx")
    wide = next(name for name in LayerGraph(model).layers if name.endswith(".0.0.conv1"))
    after = wide.replace("conv1", "conv2")
    # What the first makes larger the second, which alone reads it, makes smaller again: the result is nearly the same.
    factors = {f"{wide}.weight": 1e6, f"{after}.weight": 1e-6}
    for tensor in model.graph.initializer:
        if tensor.name in factors:
            values = onnx.numpy_helper.to_array(tensor) * np.float32(factors[tensor.name])
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, source / "key.onnx")
    manifest = json.loads((source / MANIFEST).read_text())
    manifest["hashes"]["key.onnx"] = sha256(source / "key.onnx")
    (source / MANIFEST).write_text(json.dumps(manifest))

    _, entries = _quantise(source, tmp_path / "out", reduction("fp16"))

    assert {wide, after} <= set(entries["fp16", "key"].float_layers)


def test_a_bundle_without_float32_graphs_is_refused(tiny_float_bundle: Make, reduction: Callable[..., Reduction], tmp_path: Path) -> None:
    """There is nothing to start from."""
    source = _copied(tiny_float_bundle("plain"), tmp_path / "b")
    manifest = json.loads((source / MANIFEST).read_text())
    manifest["graphs"]["key"]["files"] = {"fp16": "key.onnx"}
    (source / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(BundleError, match="has no fp32 graphs to start from"):
        quantise(source, tmp_path / "out", reduction("int8"), lambda _: None)


def test_a_place_that_will_not_do_is_refused_before_any_work(
    tiny_float_bundle: Make, reduction: Callable[..., Reduction], tmp_path: Path
) -> None:
    """Not after minutes."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").touch()

    with pytest.raises(UsageError, match="will not be replaced"):
        quantise(tiny_float_bundle("plain"), tmp_path / "pictures", reduction("int8"), pytest.fail)


@pytest.mark.parametrize("name", ["fp8", "FP16", "", "int8 "])
def test_an_unknown_precision_is_wrong_usage(name: str) -> None:
    """The message names those that there are."""
    with pytest.raises(UsageError, match=f"there is no precision '{name}'; choose of fp32, fp16, int8, bf16"):
        Reduction((name,), shipped(), shipped())


def _options(**changes: object) -> argparse.Namespace:
    unset = {"calibration": None, "pictures": None, "truth": None, "accept_loss": False}
    return argparse.Namespace(**{"precision": "fp32", **unset, **changes})


def test_options_become_a_reduction() -> None:
    """Names may have blanks and come twice; shipped pictures serve where none are named."""
    pictures, wanted = reduction_of(_options(precision="fp32, int8,fp16,int8", accept_loss=True), LABELS)

    assert wanted.precisions == ("fp32", "int8", "fp16")
    assert wanted.accept_loss
    assert (pictures.count, wanted.pictures.count, wanted.calibration.count) == (16, 16, 16)


def test_made_up_scenes_are_many_to_compare_on_and_others_to_calibrate_on() -> None:
    """AP needs 200; the network itself is compared on sixteen of them."""
    pictures, wanted = reduction_of(_options(precision="int8", calibration="synthetic:", pictures="synthetic:"), LABELS)

    assert (pictures.count, wanted.pictures.count, wanted.calibration.count) == (16, 200, 32)
    assert wanted.pictures.name != replace(wanted.calibration, count=200).name
    with pytest.raises(UsageError, match="there is no precision 'int4'"):
        reduction_of(_options(precision="int4"), LABELS)


def test_truth_needs_the_pictures_that_it_tells_of(tmp_path: Path) -> None:
    """The pictures that ship have none, and made-up scenes have their own; with a folder, many are compared on."""
    file = tmp_path / "instances.json"
    file.write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": LABELS[0].category_id}]}))
    for pictures in (None, "synthetic:"):
        with pytest.raises(UsageError, match="name it with --pictures"):
            reduction_of(_options(truth=file, pictures=pictures), LABELS)

    (tmp_path / "p").mkdir()
    for k in range(20):
        cv2.imwrite(str(tmp_path / "p" / f"{k}.png"), np.zeros((4, 4, 3), np.uint8))
    _, wanted = reduction_of(_options(truth=file, pictures=str(tmp_path / "p")), LABELS)

    assert wanted.pictures.count == 20
    assert {sample.truth for sample in wanted.pictures} == {None}


def test_a_network_that_finds_nothing_is_not_within_its_budget() -> None:
    """Nobody knows then what a precision loses; of float32 the dense outputs tell."""
    empty = Agreement(0.3, pictures=16).numbers()
    entries = [Entry(precision=precision, graph="key", against="x", backend="y", sha256="z", **empty) for precision in ("fp32", "int8")]

    assert [bool(entry.over()) for entry in entries] == [False, True]
