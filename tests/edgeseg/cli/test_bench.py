"""``edgeseg bench`` and ``edgeseg compare``: what they print, write and refuse."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from edgeseg.backends import BACKENDS
from edgeseg.benchmark.nvml import GpuReading
from edgeseg.bundle import read_bundle
from edgeseg.cli import bench, main
from tests.bundles import tiny_bundle
from tests.edgeseg.made_up_engines import Engines

CLIP = "synthetic:seed=1,frames=8,size=64x48"
OPTIONS = ["--backend", "onnxruntime", "--threads", "1"]


@pytest.fixture
def result(bundle, tmp_path, capsys):
    """A result file of twenty frames, changed as wanted: ``result(name, **changes)``."""
    assert main(["bench", str(bundle), CLIP, "--frames", "20", "--warm-up", "1", "--json", f"{tmp_path}/first.json", *OPTIONS]) == 0
    capsys.readouterr()

    def make(name="first", factor=1.0, **changes):
        # Durations as a calm machine has them: this one may not be.
        steady = [factor * (10 + i % 7 / 100) for i in range(20)]
        samples = {"step": ["key"] * 20, "infer_ms": steady, "capture_to_result_ms": steady}
        content = json.loads((tmp_path / "first.json").read_text()) | {"samples": samples} | changes
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return str(tmp_path / f"{name}.json")

    return make


def test_bench_tells_each_step_and_writes_everything(tmp_path, capsys):
    """A video model under fixed:4+track: graph alone and capture to result by step, and what it was measured on."""
    bundle, file = tiny_bundle(tmp_path / "b", warp=True), tmp_path / "bench.json"

    command = ["bench", str(bundle), CLIP, "--run", "fixed:4+track", "--frames", "20", "--warm-up", "4", "--json", str(file)]
    assert main([*command, *OPTIONS]) == 0

    found, out = json.loads(file.read_text()), capsys.readouterr().out
    assert {name: part["n"] for name, part in found["infer_ms"].items()} == {"all": 20, "key": 5, "warp": 15}
    assert {name: part["n"] for name, part in found["capture_to_result_ms"].items()} == {"all": 20, "key": 5, "warp": 15}
    for name in ("key", "warp"):
        assert found["infer_ms"][name]["p50"] < found["capture_to_result_ms"][name]["p50"]
    assert found["bundle"]["hashes"] == read_bundle(bundle).hashes
    assert (found["precision"], found["run"], found["backend"]["name"]) == ("fp32", "fixed:4+track", "onnxruntime")
    assert len(found["samples"]["step"]) == 20
    assert [doubt["kind"] for doubt in found["doubts"]][:2] == ["few", "few"]
    for part in ("capture to result", "p99", "warm-up", "drops", "energy", "Do not rely on these numbers:", "too few samples: 20"):
        assert part in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--run", "never"], 2, "there is no schedule 'never'"),
        (["--run", "fixed:5+overlap"], 2, "Leave +overlap out"),
        (["--json", "missing/a.json"], 1, "mkdir -p missing"),
        (["--frames", "0"], 2, "'0' is not a whole number from 1"),
    ],
)
def test_bench_refuses_what_cannot_work(bundle, capsys, arguments, code, message):
    """With one message, before anything is measured."""
    assert main(["bench", str(bundle), CLIP, *arguments, *OPTIONS]) == code

    assert message in capsys.readouterr().err


def test_bench_tells_of_a_gpu_and_of_the_engines_that_ran(bundle, tmp_path, capsys, monkeypatch):
    """Its clock, heat and power are in the record and in the text, and an engine's hash is beside those of the bundle."""
    engines, file = Engines(), tmp_path / "bench.json"
    monkeypatch.setattr(engines, "name", "tensorrt")
    engines.gate.set()
    monkeypatch.setitem(BACKENDS, "tensorrt", engines)
    monkeypatch.setattr(bench, "fingerprint", lambda request: f"hash of {request.file.name} in {request.precision}")
    monkeypatch.setattr(bench, "watched_gpu", lambda: nullcontext(lambda: GpuReading(1410.0, 62.0, 71.5)))

    assert main(["bench", str(bundle), CLIP, "--frames", "4", "--warm-up", "1", "--json", str(file), "--backend", "tensorrt"]) == 0

    found = json.loads(file.read_text())
    assert found["backend"]["engines"] == {"key": "hash of key.onnx in fp32"}
    assert found["readings"][0]["gpu"]["power_w"] == 71.5
    assert found["energy_j_per_frame"] > 0
    assert "GPU clock 1410 to 1410 MHz, GPU 62 to 62 degrees, GPU 72 to 72 W" in capsys.readouterr().out


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "not significant"), (0.8, "faster"), (1.25, "slower")])
def test_compare_gives_a_verdict(result, capsys, factor, verdict):
    """The same durations are not significant; a fifth less or a quarter more is."""
    assert main(["compare", result(), result("second", factor)]) == 0

    head, infer, whole, *_ = capsys.readouterr().out.splitlines()
    assert head.startswith("milliseconds")
    assert [row.split()[-len(verdict.split()) :] for row in (infer, whole)] == [verdict.split()] * 2


def test_compare_says_what_differs_and_what_was_doubted(result, capsys):
    """Another run is named, and so are the doubts of both."""
    doubt = {"kind": "loaded", "text": "loaded machine"}

    assert main(["compare", result(doubts=[]), result("second", run="every+track", doubts=[doubt])]) == 0

    out = capsys.readouterr().out
    assert "they differ in run: every and every+track" in out
    assert "second.json: loaded machine" in out
    assert "they differ in machine" not in out


def test_compare_refuses_different_artefacts_unless_told(result, capsys):
    """Another precision is another thing."""
    both = result(), result("second", precision="int8")

    assert main(["compare", *both]) == 2
    assert "measured different things: precision fp32 and int8" in capsys.readouterr().err
    assert main(["compare", *both, "--different"]) == 0


def test_compare_needs_something_that_both_have(result, capsys):
    """Results without a common step are an error that says so."""
    samples = {"step": ["warp"] * 20, "infer_ms": [1.0] * 20, "capture_to_result_ms": [1.0] * 20}

    assert main(["compare", result(), result("second", samples=samples)]) == 1
    assert "no kind of frame of which both hold at least 10" in capsys.readouterr().err
