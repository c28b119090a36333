"""A cache of its own for each test, and a library that needs no TensorRT."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeseg.backends.tensorrt import engines
from edgeseg.backends.tensorrt.build import BuiltEngine
from edgeseg.backends.tensorrt.cache import VARIABLE
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import TENSORRT, TENSORRT_RTX, Library

CAPABILITIES = SimpleNamespace(CURRENT=1, SM86=3, SM87=4, SM120=5)


class Workshop:
    """What stands in for the library and the GPU; tests change it as an upgrade or another machine would."""

    def __init__(self):
        self.version, self.kind, self.gpu = "10.3.0", TENSORRT, Gpu("Orin", (8, 7))
        self.builds = []
        """Precision of each build."""

    def be_rtx(self, gpu=None):
        """TensorRT-RTX on another machine."""
        self.kind, self.gpu = TENSORRT_RTX, gpu

    def library(self):
        return Library(SimpleNamespace(ComputeCapability=CAPABILITIES), self.kind, self.version)

    def build(self, library, file, _graph, target, report):
        report("building", 0.5)
        self.builds.append(target.precision)
        return BuiltEngine(f"{library}, {target}, {file.read_bytes()}, build {len(self.builds)}".encode(), {"build_s": 1.5})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache folder, which does not exist yet."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def workshop(monkeypatch, folder):
    """A made-up library and GPU."""
    made = Workshop()
    monkeypatch.setattr(engines, "find", made.library)
    monkeypatch.setattr(engines, "find_gpu", lambda: made.gpu)
    monkeypatch.setattr(engines, "build_engine", made.build)
    return made


@pytest.fixture
def file(tmp_path):
    """A file that the made-up builder takes."""
    (tmp_path / "key.onnx").write_bytes(b"graph")
    return tmp_path / "key.onnx"
