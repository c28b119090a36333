"""Engines are built by TensorRT-RTX, which needs no GPU for it; what cannot be built is refused with a sentence."""

from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import sys

import pytest

from edgeseg.bundle import TensorSpec, read_bundle
from edgeseg.data import demo_bundle
from tests.build_engines import ROOT, Job, build_all, needs_rtx, require_built
from tests.edgeseg.backends.tensorrt.graphs import BAD, GOOD, write

pytestmark = needs_rtx
PAIRS = list(itertools.product(GOOD, GOOD))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """File and claimed precision -> what came of it; all in one process."""
    folder = tmp_path_factory.mktemp("good")
    made = {name: write(folder, name, text) for name, text in GOOD.items()}
    return dict(zip(PAIRS, build_all([Job(*made[name], precision) for name, precision in PAIRS]), strict=True))


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Name of a bad graph -> the error."""
    folder = tmp_path_factory.mktemp("bad")
    outcomes = build_all([Job(*write(folder, name, text)) for name, (text, _) in BAD.items()])
    return {name: outcome.error for name, outcome in zip(BAD, outcomes, strict=True)}


@pytest.fixture(scope="module")
def demo_job():
    """The demo bundle's full graph."""
    bundle = read_bundle(demo_bundle())
    return Job(bundle.file("key", "fp32"), bundle.graphs["key"])


@pytest.mark.parametrize("precision", GOOD)
def test_each_precision_builds_from_its_own_file(built, precision):
    """The layers that make the precision were counted in what the library parsed."""
    outcome = built[precision, precision]

    assert outcome.error == ""
    assert outcome.plan_bytes > 1000
    counts = {name: outcome.summary[name] for name in ("convolutions", "half_convolutions", "quantize_layers")}
    assert counts == {"convolutions": 1, "half_convolutions": int(precision == "fp16"), "quantize_layers": 2 * (precision == "int8")}


@pytest.mark.parametrize(("name", "precision"), [pair for pair in PAIRS if pair[0] != pair[1]])
def test_a_file_of_another_precision_is_refused(built, name, precision):
    """Before it is built, with what it is and what was found in it."""
    assert re.match(rf"BundleError: .*{name}\.onnx is not {precision} but {name}: of its 1 convolutions", built[name, precision].error)


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_built_is_told_in_one_sentence(refused, name):
    """Which node, what is wrong with it, what to do; none of the library's own log."""
    error = refused[name]

    assert re.match(rf"BackendError: TensorRT-RTX [\d.]+ cannot load \S*{name}\.onnx: ", error)
    assert re.search(BAD[name][1], error)
    assert not re.search(r"\n|\.cpp|Assertion|Error Code", error)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "the file is not there"), (b"coffee", "no ONNX file"), (b"", "not an ONNX graph"), (b"hello" * 50, "not an ONNX graph")],
)
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content, message):
    """Missing, damaged, empty, and bytes that happen to be valid protobuf."""
    file, graph = write(tmp_path, "fp32", GOOD["fp32"])
    file.unlink() if content is None else file.write_bytes(content)

    (outcome,) = build_all([Job(file, graph)])

    assert re.match(rf"BackendError: TensorRT-RTX [\d.]+ cannot load .*{message}", outcome.error)


def test_lost_weights_are_named(tmp_path, demo_job):
    """A graph whose weights lie beside it, copied without them."""
    (tmp_path / "key.onnx").write_bytes(demo_job.file.read_bytes())

    (outcome,) = build_all([dataclasses.replace(demo_job, file=tmp_path / "key.onnx")])

    assert "a file of weights beside it is missing or damaged. Copy the whole bundle folder" in outcome.error


@pytest.mark.parametrize(
    "spec", [TensorSpec("z", "float32", (1, 4, 6, 6)), TensorSpec("y", "int64", (1, 4, 6, 6)), TensorSpec("y", "float32", (1, 4, 6, 7))]
)
def test_other_outputs_than_the_manifest_declares_are_refused(tmp_path, spec):
    """Another name, dtype or shape."""
    file, graph = write(tmp_path, "fp32", GOOD["fp32"])

    (outcome,) = build_all([Job(file, dataclasses.replace(graph, outputs=(spec,)))])

    assert f"lacks the outputs {spec} that model.json declares; it has y: float32 [1, 4, 6, 6]" in outcome.error


@pytest.mark.parametrize("wanted", ["sm75", "sm80", "sm86", "sm89", "sm120", "sm121"])
def test_every_generation_can_be_built_for(tmp_path, wanted):
    """All that TensorRT-RTX names, and two at once."""
    require_built(*write(tmp_path, "fp16", GOOD["fp16"]), "fp16", ("sm86", wanted))


def test_progress_never_goes_back_and_ends_at_one(demo_job):
    """One fraction over all of the library's nested phases, with their names."""
    (outcome,) = build_all([demo_job])
    fractions = [fraction for _, fraction in outcome.reports]

    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert outcome.reports[-1] == ["done", 1.0]
    assert fractions[-2] < 1
    assert len({round(fraction, 1) for fraction in fractions}) >= 6
    assert {"reading the graph", "Building engine", "Timing graph nodes"} <= {phase for phase, _ in outcome.reports}


def test_what_the_report_raises_cancels_the_build(demo_job):
    """It comes out as it was raised, and nothing is reported after it."""
    (outcome,) = build_all([dataclasses.replace(demo_job, fail_at=0.3)])

    assert outcome.error == "InterruptedError: stop"
    assert 0.3 <= outcome.reports[-1][1] < 0.99


def test_ctrl_c_cancels_the_build():
    """The signal reaches the main thread while the builder works, the builder stops, and KeyboardInterrupt comes out."""
    script = """
import os, signal, threading
from edgeseg.backends.tensorrt.build import build_engine
from edgeseg.backends.tensorrt.library import find
from edgeseg.backends.tensorrt.target import choose_target
from edgeseg.bundle import read_bundle
from edgeseg.data import demo_bundle

heard, whole, stopped = threading.Event(), [], []

def hear(number, frame):
    heard.set()
    raise KeyboardInterrupt

def interrupt(phase, fraction):
    stopped.append(fraction)
    if fraction > 0.1 and not heard.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        heard.wait()

signal.signal(signal.SIGINT, hear)
bundle, library = read_bundle(demo_bundle()), find()
job = library, bundle.file("key", "fp32"), bundle.graphs["key"], choose_target(library, None, "fp32")
build_engine(*job, lambda phase, fraction: whole.append(fraction))
try:
    build_engine(*job, interrupt)
except KeyboardInterrupt:
    print("stopped", max(stopped) < max(whole[:-1]), threading.active_count())
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (ended.stdout, ended.stderr) == ("stopped True 1\n", "")
