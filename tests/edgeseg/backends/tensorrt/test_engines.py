"""Engines are built once, found again, and built again with one line of explanation when they do not fit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from edgeseg.backends.tensorrt import cache as cache_module
from edgeseg.backends.tensorrt.engines import Request, engine_for, obtain
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.bundle import Graph, TensorSpec
from edgeseg.errors import BackendError
from tests.build_engines import ROOT

GRAPH = Graph({}, (TensorSpec("x", "float32", (1, 3)),), (TensorSpec("y", "float32", (1, 3)),))


@pytest.fixture
def file(tmp_path):
    """A file that the made-up builder takes."""
    (tmp_path / "key.onnx").write_bytes(b"graph")
    return tmp_path / "key.onnx"


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
    """The manifest names them; other graphs and the ledger beside them do not count."""
    manifest = {"graphs": {"key": {"files": {"fp16": "key.onnx"}}, "warp": {"files": {"fp16": "warp.onnx"}}}}
    hashes = dict.fromkeys(["key.onnx", "warp.onnx", "weights.bin", "l.json"])
    (file.parent / "model.json").write_text(json.dumps({**manifest, "hashes": hashes}))
    for name in ("weights.bin", "warp.onnx", "l.json"):
        (file.parent / name).write_bytes(b"first")
    ask()

    for name, built in (("warp.onnx", False), ("l.json", False), ("weights.bin", True)):
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


PROCESS = """
import os, sys
from pathlib import Path
from edgeseg.backends.tensorrt import cache, engines
from edgeseg.backends.tensorrt.build import BuiltEngine
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import Library
from edgeseg.bundle import Graph

def build(*_):
    print("building", flush=True)
    sys.stdin.readline()
    return BuiltEngine(b"plan", {"build_s": 1.0})

def die(_):
    os.kill(os.getpid(), 9)

engines.find, engines.find_gpu, engines.build_engine = lambda: Library(None, "tensorrt", "10"), lambda: Gpu("Orin", (8, 7)), build
if sys.argv[2:] == ["die"]:
    cache.os.fsync = die
found = engines.obtain(engines.Request(Path(sys.argv[1]), Graph({}, (), ()), "fp32"), print, lambda line: print(line, flush=True))
print("was there" if found.build_s is None else "built", found.plan.decode())
"""


@pytest.fixture
def start(folder, file):
    """A function that starts a process which asks for the engine of ``file``; its builder waits for a line."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-c", PROCESS, str(file), *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_builder_waits_and_takes_the_first_ones_engine(start, folder):
    """Two processes that want the same engine build it once."""
    first = start()
    assert first.stdout.readline() == "building\n"
    second = start()
    assert second.stdout.readline() == "another process is building the engine for key.onnx: waiting for it\n"

    assert first.communicate("\n")[0] == "built plan\n"
    assert second.communicate()[0] == "was there plan\n"
    assert sorted(path.suffix for path in folder.iterdir()) == [".engine", ".json"]


def test_a_dead_builder_frees_its_lock(start):
    """A process that is killed while it builds keeps nobody waiting."""
    first = start()
    first.stdout.readline()
    second = start()
    second.stdout.readline()

    first.kill()

    assert second.communicate("\n")[0] == "building\nbuilt plan\n"


def test_an_interrupted_write_leaves_no_engine_and_is_cleaned_up(start, folder, file):
    """A process that dies between writing and renaming leaves a file that is no engine, and the builder of any other engine removes it."""
    first = start("die")
    first.communicate("\n")
    assert [path.name.partition(".")[2] for path in sorted(folder.iterdir())] == ["engine.tmp", "lock"]

    file.write_bytes(b"another graph")

    assert start().communicate("\n")[0] == "building\nbuilt plan\n"
    assert sorted(path.suffix for path in folder.iterdir()) == [".engine", ".json"]


def test_the_folder_follows_the_usual_variables(monkeypatch):
    """Ours, else the desktop standards', else the home folder; a relative XDG_CACHE_HOME is ignored, as the standard says."""
    monkeypatch.setattr(os, "environ", {"HOME": "/home/x", "XDG_CACHE_HOME": "/cache", "EDGESEG_CACHE": "~/engines"})

    assert str(cache_module.cache_folder()) == "/home/x/engines"
    del os.environ["EDGESEG_CACHE"]
    assert str(cache_module.cache_folder()) == "/cache/edgeseg/engines"
    os.environ["XDG_CACHE_HOME"] = "relative"
    assert str(cache_module.cache_folder()) == "/home/x/.cache/edgeseg/engines"
