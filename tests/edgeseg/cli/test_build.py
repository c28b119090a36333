"""``edgeseg build``: what it builds, prints and refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from edgeseg.backends.tensorrt import engines
from edgeseg.backends.tensorrt.build import BuiltEngine
from edgeseg.backends.tensorrt.library import TENSORRT_RTX, Library
from edgeseg.cli import main
from edgeseg.cli.signals import Terminated
from edgeseg.data import demo_bundle
from edgeseg.errors import MissingDependencyError
from tests.build_engines import ROOT, needs_rtx

BUILD = ("build", str(demo_bundle()), "--precision", "fp32")
"""Both graphs of the bundle that ships, in one of its precisions."""


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A made-up TensorRT-RTX that builds a plan of a megabyte; calls of its builder are counted."""
    found = Library(SimpleNamespace(ComputeCapability=SimpleNamespace(SM86=1, SM120=2)), TENSORRT_RTX, "1.7")
    builds = []

    def build(_library, file, _graph, target, report):
        builds.append((file.name, target.capabilities))
        report("working", 0.5)
        return BuiltEngine(bytes(1_000_000), {"build_s": 2.0})

    monkeypatch.setenv("EDGESEG_CACHE", str(tmp_path / "engines"))
    monkeypatch.setattr(engines, "find", lambda: found)
    monkeypatch.setattr(engines, "find_gpu", lambda: None)
    monkeypatch.setattr(engines, "build_engine", build)
    return builds


def edgeseg_build(folder, *arguments):
    """Run the command in a process of its own, with ``folder`` as the cache."""
    command = [sys.executable, "-m", "edgeseg", *BUILD, *arguments]
    variables = {**os.environ, "EDGESEG_CACHE": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


@needs_rtx
def test_the_demo_bundle_is_built_once(tmp_path):
    """Both graphs by TensorRT-RTX; then they are there; and a damaged one is built again with one line."""
    first, second = edgeseg_build(tmp_path), edgeseg_build(tmp_path)
    rows = r"graph .*\nkey +fp32 +{fits} +\d\.\d +{state}\nwarp +fp32 +{fits} +\d\.\d +{state}\n\nThe engines are in {folder}\n"
    shown = {"fits": r"\S.*", "folder": re.escape(str(tmp_path))}

    assert (first.returncode, first.stderr) == (0, "")
    assert re.fullmatch(rows.format(state=r"\d+\.\d  built +not run: .+", **shown), first.stdout)
    assert re.fullmatch(rows.format(state=r"was there +not run: .+", **shown), second.stdout)

    damaged = max(tmp_path.glob("*.engine"), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    third = edgeseg_build(tmp_path)

    assert re.fullmatch(r"engine for key\.onnx is \d+ bytes long, .*: building it again\n", third.stderr)
    assert (third.stdout.count("  built  "), third.stdout.count("  was there  ")) == (1, 1)


def test_the_table_says_what_for(library, capsys):
    """Generations in order, megabytes, seconds; both graphs of a video bundle."""
    assert main([*BUILD, "--for", "sm120,sm86"]) == 0

    assert capsys.readouterr().out.splitlines()[:3] == [
        "graph  precision  for           MB  seconds         compared with the graph on the CPU",
        "key    fp32       sm86, sm120  1.0      2.0  built  not run: no GPU",
        "warp   fp32       sm86, sm120  1.0      2.0  built  not run: no GPU",
    ]
    assert library == [("key.onnx", ("SM86", "SM120")), ("warp.onnx", ("SM86", "SM120"))]


def test_force_builds_again(library):
    """What is there is not enough then; without it, it is."""
    for arguments in ([], ["--force"], []):
        assert main([*BUILD, *arguments]) == 0

    assert len(library) == 4


@pytest.mark.parametrize("arguments", [["--precision", "fp32,fp32"], ["--precision", "fp32", "--precision", "fp32"]])
def test_a_precision_asked_for_twice_is_built_once(library, bundle, arguments):
    """In a list or repeated."""
    assert main(["build", str(bundle), *arguments]) == 0

    assert library == [("key.onnx", ())]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--for", "sm87"], 2, "TensorRT-RTX 1.7 cannot build for sm87; it can for sm86, sm120; or use --for this"),
        (["--for", "sm86,"], 2, "'sm86,' is not a list of names with commas between"),
        (["--precision", "fp16"], 1, "has no fp16 version of graph 'key', only ['fp32']"),
    ],
)
def test_what_cannot_be_asked_for_is_told(library, bundle, capsys, arguments, code, message):
    """A generation that the library lacks, a list with a hole, a precision that the bundle lacks."""
    assert main(["build", str(bundle), *arguments]) == code

    assert message in capsys.readouterr().err
    assert library == []


def test_without_tensorrt_it_says_what_to_install(library, bundle, capsys, monkeypatch):
    """Exit code 1 and the library's own error."""

    def fail():
        raise MissingDependencyError("TensorRT is needed")

    monkeypatch.setattr(engines, "find", fail)

    assert main(["build", str(bundle)]) == 1
    assert capsys.readouterr().err == "edgeseg: error: TensorRT is needed\n"


@pytest.mark.parametrize(("kind", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_ctrl_c_and_sigterm_keep_what_was_finished(library, capsys, monkeypatch, tmp_path, kind, code):
    """The second graph is cancelled; the first one's engine stays."""
    build = engines.build_engine

    def stop(library, file, *rest):
        if file.name == "warp.onnx":
            raise kind
        return build(library, file, *rest)

    monkeypatch.setattr(engines, "build_engine", stop)

    assert main([*BUILD]) == code
    assert capsys.readouterr().err == "\nedgeseg: stopped; engines that were finished are kept\n"
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 1
