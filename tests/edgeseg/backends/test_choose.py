"""Which backend is taken where, and what is said when there is none."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from edgeseg import backends
from edgeseg.backends import BACKENDS, Choice, Probe, choose, prefer
from edgeseg.bundle import Graph
from edgeseg.errors import MissingDependencyError, UsageError

YES = Probe(True, "1.0", "CPU")
NO = Probe(False, detail="No module named 'x'", remedy="pip install x")


@pytest.mark.parametrize(
    ("openvino", "onnxruntime", "machine", "name", "reason"),
    [
        (YES, YES, "x86_64", "openvino", "fastest fp32 on x86_64 CPUs"),
        (YES, YES, "AMD64", "openvino", "fastest fp32 on AMD64 CPUs"),
        (YES, YES, "aarch64", "onnxruntime", "OpenVINO is preferred on x86 only, this is aarch64"),
        (NO, YES, "x86_64", "onnxruntime", "OpenVINO is not usable"),
        (NO, YES, "aarch64", "onnxruntime", "this is aarch64"),
        (YES, NO, "x86_64", "openvino", "fastest fp32"),
        (YES, NO, "aarch64", "openvino", "the only one that is usable"),
    ],
)
def test_auto_takes_the_fastest_usable_backend(openvino: Probe, onnxruntime: Probe, machine: str, name: str, reason: str) -> None:
    """OpenVINO on x86, else ONNX Runtime, else what there is; the choice says why."""
    chosen = prefer({"openvino": openvino, "onnxruntime": onnxruntime}, machine)

    assert chosen.name == name
    assert reason in chosen.reason


def test_without_any_backend_the_error_names_every_remedy() -> None:
    """The message says of each backend why not and what to install."""
    broken = Probe(False, detail="libtbb.so.12: cannot open", remedy="pip install y")

    with pytest.raises(MissingDependencyError) as caught:
        prefer({"openvino": broken, "onnxruntime": NO}, "x86_64")

    assert "openvino: libtbb.so.12: cannot open (pip install y); onnxruntime: No module named 'x' (pip install x)" in str(caught.value)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_that_is_named_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a backend by name gives that one, if it can be used."""
    monkeypatch.setattr(type(BACKENDS[name]), "probe", lambda _: YES)

    assert choose(name) == Choice(name, "as asked")


def test_auto_never_takes_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend for tests has to be asked for by name, however little else there is."""
    _hide(monkeypatch, "openvino", "onnxruntime")

    with pytest.raises(MissingDependencyError, match="no backend can be used here"):
        choose()


def test_auto_looks_at_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor decides between two usable backends."""
    monkeypatch.setattr(backends.platform, "machine", lambda: "aarch64")
    assert choose().name == "onnxruntime"

    monkeypatch.setattr(backends.platform, "machine", lambda: "x86_64")
    assert choose().name == "openvino"


def test_an_unknown_backend_is_wrong_usage() -> None:
    """The message lists what there is."""
    with pytest.raises(UsageError, match=r"there is no backend 'tensorflow'; choose auto or one of onnxruntime, openvino, tensorrt, fake"):
        choose("tensorflow")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_missing_package_is_named_with_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Probe, choice and opening all say so, none with an ImportError."""
    _hide(monkeypatch, name)

    probe = BACKENDS[name].probe()
    assert (probe.usable, probe.version, probe.remedy) == (False, "", "pip install 'edgeseg[cpu]'")
    with pytest.raises(MissingDependencyError, match=rf"backend {name} cannot be used here: .* To get it: pip install 'edgeseg\[cpu\]'"):
        choose(name)
    with pytest.raises(MissingDependencyError, match=rf"{name} is needed.*pip install 'edgeseg\[cpu\]'"):
        BACKENDS[name].open(tmp_path / "key.onnx", Graph({}, (), ()), "fp32", None)


def _hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let imports of the packages fail as if they were not installed."""
    real = importlib.import_module

    def import_module(name: str, package: str | None = None) -> Any:
        if name.partition(".")[0] in packages:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)
