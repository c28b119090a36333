"""Engines are built once, found again, and built again with one line of explanation when they do not fit."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from edgeseg.backends.tensorrt import cache as cache_module
from edgeseg.backends.tensorrt.engines import Request, describe, engine_for, fingerprint, obtain
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import BackendError

GRAPH = Graph({}, (TensorSpec("x", "float32", (1, 3)),), (TensorSpec("y", "float32", (1, 3)),))


@pytest.fixture
def ask(workshop, file):
    """A function that asks for an engine and returns it with the lines it gave."""

    def ask(**changes):
        notes = []
        request = Request(**{"file": file, "graph": GRAPH, "precision": "fp16", **changes})
        return obtain(request, lambda *_: None, notes.append), notes

    return ask


def parts(folder):
    """The engine and the sidecar of a cache that has one engine."""
    return next(folder.glob("*.engine")), next(folder.glob("*.json"))


def test_the_second_time_it_is_there(ask, workshop, folder):
    """The same bytes, no build, no words; and nothing but the engine and its sidecar lies in the folder."""
    first, second = ask(), ask()

    assert workshop.builds == ["fp16"]
    assert (first[0].plan, first[0].build_s) == (second[0].plan, 1.5)
    assert second[0].build_s is None
    assert first[1] == second[1] == []
    assert sorted(path.suffix for path in folder.iterdir()) == [".engine", ".json"]


def test_the_plan_is_stored_as_it_is_and_the_sidecar_says_what_it_is(ask, folder):
    """Any tool can read the engine, and a person the sidecar."""
    plan = ask()[0].plan
    engine, sidecar = parts(folder)

    assert engine.read_bytes() == plan
    assert engine.stem == sidecar.stem
    told = json.loads(sidecar.read_text())
    assert told["identity"]["library"] == "TensorRT 10.3.0"
    assert told["identity"]["fits"] == ["Orin (sm87)"]
    assert told["identity"]["inputs"] == ["x: float32 [1, 3]"]
    assert told["plan_bytes"] == len(plan)
    assert told["agreement"] == {}


def test_the_sidecar_takes_what_a_comparison_found(ask, workshop, folder, file):
    """The engine stays what it is, and for an engine of several generations it is the one that this GPU takes."""
    workshop.be_rtx(Gpu("RTX 3060", (8, 6)))
    ask(wanted=("sm86", "sm120"))
    sidecar = parts(folder)[1]

    describe(Request(file, GRAPH, "fp16"), {"lost": 3})

    assert json.loads(sidecar.read_text())["agreement"] == {"lost": 3}
    assert ask()[0].build_s is None
    assert sorted(path.suffix for path in folder.iterdir()) == [".engine", ".json"]


def test_an_engine_has_the_fingerprint_of_its_bytes(ask, workshop, file):
    """The SHA-256 of what is there, and none before."""
    request = Request(file, GRAPH, "fp16")
    assert fingerprint(request) is None
    plan = ask()[0].plan

    assert fingerprint(request) == hashlib.sha256(plan).hexdigest()


def test_an_engine_that_is_not_there_is_not_described(workshop, folder, file):
    """Nothing is made up for it."""
    describe(Request(file, GRAPH, "fp16"), {"lost": 3})

    assert not list(folder.glob("*.json"))


def upgrade(workshop, file):
    workshop.version = "11.4"


def move(workshop, file):
    workshop.gpu = Gpu("Thor", (11, 0))


def edit(workshop, file):
    file.write_bytes(b"another graph")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (upgrade, "was built by TensorRT 10.3.0, this is TensorRT 11.4"),
        (move, "was built for Orin (sm87), this is Thor (sm110)"),
        (edit, "was built from another version of the file"),
    ],
)
def test_an_engine_that_does_not_fit_any_more_is_built_again_with_a_line(ask, workshop, file, change, why):
    """After an upgrade, on another GPU, from another file; and then that one is there, in silence."""
    first = ask()[0]
    change(workshop, file)

    engine, notes = ask()

    assert notes == [f"engine for key.onnx {why}: building it again"]
    assert engine.plan != first.plan
    assert ask()[1] == []
    assert len(workshop.builds) == 2


def cut(engine, sidecar):
    engine.write_bytes(engine.read_bytes()[:-1])


def flip(engine, sidecar):
    engine.write_bytes(engine.read_bytes()[:-1] + b"!")


def lose_sidecar(engine, sidecar):
    sidecar.unlink()


def lose_engine(engine, sidecar):
    engine.unlink()


def scribble(engine, sidecar):
    sidecar.write_bytes(b"\xff{")


def nest(engine, sidecar):
    sidecar.write_text("[" * 100_000)


def bloat(engine, sidecar):
    sidecar.write_text(sidecar.read_text() + " " * 2_000_000)


def rename(engine, sidecar):
    sidecar.write_text(sidecar.read_text().replace("TensorRT 10.3.0", "TensorRT 9\\u001b[31m"))


def hollow(engine, sidecar):
    sidecar.write_text('{"format": "edgeseg-engine", "format_version": 1}')


def postdate(engine, sidecar):
    sidecar.write_text(sidecar.read_text().replace('"format_version": 1', '"format_version": 2'))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut, r"is \d+ bytes long, which it was not when it was stored"),
        (flip, "is damaged: its SHA-256 is not the one it was stored with"),
        (lose_sidecar, "has no description beside it"),
        (lose_engine, r"cannot be read \(No such file or directory\)"),
        (scribble, "has a description that cannot be read"),
        (nest, "has a description that cannot be read"),
        (bloat, "has a description that cannot be read"),
        (postdate, "has a description that cannot be read"),
        (rename, r"was built by TensorRT 9\[31m, this is TensorRT 10\.3\.0"),
        (hollow, "was built from another version of the file"),
    ],
)
def test_a_damaged_engine_is_built_again_with_a_line(ask, workshop, folder, damage, why):
    """Whatever lies in the folder ends in one line and a good engine, never in an exception."""
    ask()
    damage(*parts(folder))

    engine, notes = ask()

    assert len(notes) == 1
    assert re.fullmatch(f"engine for key.onnx {why}: building it again", notes[0])
    assert engine.plan.endswith(b"build 2")
    assert ask()[0].build_s is None


def test_each_precision_and_graph_is_an_engine_of_its_own(ask, workshop, file):
    """Asking for another is no reason to explain anything."""
    other = file.with_name("warp.onnx")
    other.write_bytes(b"light graph")

    assert [ask()[1], ask(precision="int8")[1], ask(file=other)[1], ask()[1]] == [[]] * 4
    assert workshop.builds == ["fp16", "int8", "fp16"]


def test_two_copies_of_a_bundle_share_an_engine(ask, workshop, file):
    """What counts is the content of the file, not where it lies."""
    copy = file.parent / "copy" / "key.onnx"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())

    assert ask()[0].plan == ask(file=copy)[0].plan
    assert len(workshop.builds) == 1


def test_weights_beside_the_graph_count(ask, file):
    """The manifest names them; other graphs, the ledger and the weights of other precisions do not count."""
    files = [{"fp16": f"{name}.onnx", "int8": f"{name}.int8.onnx"} for name in ("key", "warp")]
    manifest = {"graphs": {name: {"files": entry} for name, entry in zip(("key", "warp"), files, strict=True)}}
    hashes = dict.fromkeys(["key.onnx", "warp.onnx", "fp16.weights.bin", "int8.weights.bin", "weights.bin", "l.json"])
    (file.parent / "model.json").write_text(json.dumps({**manifest, "hashes": hashes}))
    for name in hashes.keys() - {"key.onnx"}:
        (file.parent / name).write_bytes(b"first")
    ask()

    for name in hashes.keys() - {"key.onnx"}:
        built = name == "fp16.weights.bin"
        (file.parent / name).write_bytes(b"second")
        assert (ask()[0].build_s is not None) == built


def test_force_builds_what_is_there(ask, workshop):
    """On purpose, so without an explanation."""
    ask()

    engine, notes = ask(force=True)

    assert (engine.plan[-7:], notes) == (b"build 2", [])
    assert ask()[0].plan == engine.plan


def test_an_engine_for_several_generations_serves_a_gpu_of_one_of_them(ask, workshop):
    """Built elsewhere for sm86 and sm120, it is found on an sm86 and not on an sm87."""
    workshop.be_rtx()
    made = ask(wanted=("sm120", "sm86"))[0]

    workshop.be_rtx(Gpu("RTX 3090", (8, 6)))
    assert ask()[0].plan == made.plan
    workshop.be_rtx(Gpu("Orin", (8, 7)))
    assert ask()[0].build_s is not None
    assert workshop.builds == ["fp16", "fp16"]


def test_engine_for_gives_the_plan(workshop, file):
    """The short form that a session uses."""
    reports = []

    plan = engine_for(file, GRAPH, "fp32", lambda *told: reports.append(told), lambda _: None)

    assert plan.endswith(b"build 1")
    assert reports == [("building", 0.5)]


def test_a_failed_build_leaves_nothing(ask, workshop, folder, monkeypatch):
    """Cancelled or not, no file stays behind, and the next attempt works."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("edgeseg.backends.tensorrt.engines.build_engine", stop)
        with pytest.raises(KeyboardInterrupt):
            ask()

    assert list(folder.iterdir()) == []
    assert ask()[1] == []


def test_a_full_disk_is_told_with_the_folder(ask, folder, monkeypatch):
    """The error names it and the variable, and no half-written file stays."""

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "fsync", fail)

    with pytest.raises(BackendError, match=rf"cannot be kept in {re.escape(str(folder))} \(No space left on device\).*EDGESEG_CACHE"):
        ask()

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/engines", "key.onnx", "key.onnx/engines"])
def test_a_folder_that_cannot_be_written_is_told_before_the_build(ask, workshop, file, monkeypatch, place):
    """A place where nobody may write, a file in the place of the folder, and one above it."""
    monkeypatch.setenv("EDGESEG_CACHE", str(file.parent / place))

    with pytest.raises(BackendError, match=rf"cannot be kept in \S*{place} .*EDGESEG_CACHE"):
        ask()

    assert workshop.builds == []
