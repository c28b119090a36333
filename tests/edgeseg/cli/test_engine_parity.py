"""``edgeseg build`` on a machine with a GPU: engines are compared with their graphs, and what differs too much is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edgeseg.backends import BACKENDS
from edgeseg.backends.tensorrt import TensorRt, engines
from edgeseg.backends.tensorrt.build import BuiltEngine
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import TENSORRT, Library
from edgeseg.bundle import read_bundle
from edgeseg.cli import engine_parity, main
from edgeseg.device import DeviceProbe
from edgeseg.device.fake import FakeDevice
from tests.bundles import FOUND, tiny_bundle
from tests.contract import fake_tensorrt


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A GPU on which engines run that answer like the graphs of ``gpu.bundle``, or of another one that a test puts there."""
    made = SimpleNamespace(bundle=None, cache=tmp_path / "engines", there=True)
    device = FakeDevice()

    def plan(request, _report, _note):
        return ((made.bundle or request.file.parent) / request.file.name).read_bytes()

    parts = fake_tensorrt.parts(device, plan=plan, is_there=lambda _: made.there, find_gpu=lambda: None)
    monkeypatch.setitem(BACKENDS, "tensorrt", TensorRt(parts))
    monkeypatch.setenv("EDGESEG_CACHE", str(made.cache))
    monkeypatch.setattr(engines, "find", lambda: Library(SimpleNamespace(), TENSORRT, "10.3"))
    monkeypatch.setattr(engines, "find_gpu", lambda: Gpu("Orin", (8, 7)))
    monkeypatch.setattr(engines, "build_engine", lambda *_: BuiltEngine(bytes(1_000_000), {"build_s": 2.0}))
    return made


def _unusable():
    return TensorRt(fake_tensorrt.parts(FakeDevice(), choose_device=lambda: (None, DeviceProbe(False, "", "no driver", "a driver"))))


def sidecars(gpu):
    """What lies beside the engines, by the name of the graph's file."""
    told = [json.loads(file.read_text()) for file in gpu.cache.glob("*.json")]
    return {next(iter(one["identity"]["files"])): one["agreement"] for one in told}


def test_engines_like_their_graphs_are_within_budget(gpu, video, capsys):
    """Both graphs of a video bundle, the light one on what the engine's own key graph left; the numbers stay with the engines."""
    assert main(["build", str(video)]) == 0

    shown, told = capsys.readouterr(), sidecars(gpu)
    row = r"fp32       Orin (sm87)  1.0      2.0  built  32 instances above 0.3, 0 lost, 0 extra, score error 0.0e+00, mask IoU 1.0000"
    assert shown.out.splitlines()[1:3] == [f"key    {row}", f"warp   {row}"]
    assert shown.err == ""
    assert set(told) == {"key.onnx", "warp.onnx"}
    key = told["key.onnx"]
    assert (key["graph"], key["pictures"], key["lost"], key["over_budget"], key["accepted"]) == ("key", 16, 0, [], False)
    assert key["backend"] == f"tensorrt {fake_tensorrt.VERSION}"
    assert key["against"].startswith("fp32 on onnxruntime ")
    assert key["sha256"] == read_bundle(video).hashes["key.onnx"]


def test_the_graph_that_fuses_is_compared_too(gpu, tmp_path, capsys):
    """On what the engine's own key graph left of the frame before."""
    assert main(["build", str(tiny_bundle(tmp_path / "b", fuse=True))]) == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    assert [(row[0], row[7]) for row in rows] == [("key", "32"), ("fuse", "32")]


def test_an_engine_that_loses_instances_is_refused_until_that_is_accepted(gpu, bundle, tmp_path, capsys):
    """The table says how many, a line says what is allowed, and the description of the engine keeps that it was accepted."""
    gpu.bundle = tiny_bundle(tmp_path / "other", found=FOUND[:1])

    assert main(["build", str(bundle)]) == 1
    refused = capsys.readouterr()
    assert "32 instances above 0.3, 16 lost, 0 extra" in refused.out
    assert "warning: the engine of key in fp32: 16 of 32 instances lost and 0 extra, 1 are allowed\n" in refused.err
    assert "1 over budget. --accept-loss takes them" in refused.err
    assert sidecars(gpu)["key.onnx"]["accepted"] is False

    assert main(["build", str(bundle), "--accept-loss"]) == 0
    assert "error" not in capsys.readouterr().err
    assert sidecars(gpu)["key.onnx"]["accepted"] is True


def test_pictures_of_ones_own_are_compared(gpu, video, tmp_path, capsys):
    """Of whatever size, as a folder; the first sixteen at most."""
    (tmp_path / "pictures").mkdir()
    for number, size in enumerate([(40, 60, 3), (64, 64, 3)]):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), np.full(size, 90, np.uint8))

    assert main(["build", str(video), "--pictures", str(tmp_path / "pictures")]) == 0
    assert capsys.readouterr().out.count("built  6 instances above 0.05") == 2
    assert sidecars(gpu)["warp.onnx"]["pictures"] == 2
    assert main(["build", str(video), "--pictures", "nowhere"]) == 1
    assert "there is no file or folder 'nowhere'" in capsys.readouterr().err


def test_weak_instances_count_where_there_are_few_others(gpu, bundle, tmp_path):
    """A bundle that sees nothing clearly in the frames is compared on what it sees at all."""
    weak = tiny_bundle(tmp_path / "weak", found=FOUND[2:])

    found = engine_parity.compare(read_bundle(weak), "fp32", None, lambda: None)["key"]

    assert (found.score, found.instances) == (0.05, 16)


@pytest.mark.parametrize(
    ("engines_are_there", "references", "usable", "why"),
    [
        (False, engine_parity.REFERENCES, True, "not for this GPU"),
        (True, (), True, "neither of"),
        (True, engine_parity.REFERENCES, False, "no GPU"),
    ],
    ids=["other_gpu", "no_cpu_backend", "no_gpu"],
)
def test_what_cannot_be_compared_is_said(gpu, bundle, monkeypatch, capsys, engines_are_there, references, usable, why):
    """Engines for other GPUs, a machine without ONNX Runtime and OpenVINO, one without a GPU: no failure, and nothing is claimed."""
    gpu.there = engines_are_there
    monkeypatch.setattr(engine_parity, "find_gpu", lambda: None)
    monkeypatch.setattr(engine_parity, "REFERENCES", references)
    if not usable:
        monkeypatch.setitem(BACKENDS, "tensorrt", _unusable())

    assert main(["build", str(bundle)]) == 0

    assert f"built  not run: {why}" in capsys.readouterr().out
    assert sidecars(gpu)["key.onnx"] == {}


def test_a_gpu_that_cannot_be_used_is_not_called_none(gpu, bundle, monkeypatch):
    """Where the driver sees one, the reason is another, which `edgeseg doctor` tells."""
    monkeypatch.setitem(BACKENDS, "tensorrt", _unusable())
    monkeypatch.setattr(engine_parity, "find_gpu", lambda: Gpu("H100", (9, 0)))

    assert engine_parity.obstacle(read_bundle(bundle), "fp32") == "this GPU cannot be used, see 'edgeseg doctor'"
