"""Which backend is taken where, and what is said when there is none."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from edgeseg import backends
from edgeseg.backends import BACKENDS, Choice, Probe, choose, plan, prefer
from edgeseg.bundle import Graph
from edgeseg.errors import MissingDependencyError, UsageError

YES = Probe(True, "1.0", "CPU")
ALWAYS = ("onnxruntime", "openvino", "fake")
NO = Probe(False, detail="No module named 'x'", remedy="pip install x")


class Probed:
    """A backend that answers with a given probe."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def probe(self) -> Probe:
        return self._probe


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


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("tensorrt", "cuda", "name"),
    [(YES, YES, "tensorrt"), (YES, NO, "tensorrt"), (NO, YES, "onnxruntime-cuda"), (NO, NO, None)],
)
def test_auto_takes_a_gpu_before_the_cpu(tensorrt: Probe, cuda: Probe, name: str | None, machine: str) -> None:
    """TensorRT before CUDA, whatever the processor; without a usable one it is the processor's turn."""
    chosen = prefer({"tensorrt": tensorrt, "onnxruntime-cuda": cuda, "openvino": YES, "onnxruntime": YES}, machine)

    if name is None:
        assert chosen.name in ("openvino", "onnxruntime")
    else:
        assert chosen == Choice(name, "fastest on this GPU")


def test_auto_asks_only_backends_that_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """The providers that build engines at every start are neither tried nor taken, usable or not."""
    for name in ("onnxruntime-tensorrt", "onnxruntime-tensorrt-rtx"):
        monkeypatch.delitem(BACKENDS, name)
        monkeypatch.setitem(BACKENDS, name, None)

    assert choose().name in ALWAYS


@pytest.mark.parametrize(
    ("name", "build", "built", "now", "later"),
    [
        ("auto", "wait", [], "gpu", None),
        ("auto", "background", [], "cpu", "gpu"),
        ("auto", "never", [], "cpu", None),
        ("auto", "background", ["gpu"], "gpu", None),
        ("auto", "never", ["gpu"], "gpu", None),
        ("gpu", "wait", [], "gpu", None),
        ("gpu", "background", [], "cpu", "gpu"),
        ("gpu", "never", ["gpu"], "gpu", None),
        ("cpu", "never", [], "cpu", None),
        ("cpu", "background", [], "cpu", None),
    ],
)
def test_a_plan_waits_starts_on_another_or_does_without(
    monkeypatch: pytest.MonkeyPatch, name: str, build: str, built: list[str], now: str, later: str | None
) -> None:
    """What serves first, and what takes over; a backend with nothing to build is always built."""
    monkeypatch.setattr(backends, "BACKENDS", {other: Probed(YES) for other in ("gpu", "cpu")})
    monkeypatch.setattr(backends, "_GPU_FIRST", ("gpu",))
    monkeypatch.setattr(backends, "find_gpu", lambda: "a GPU")
    monkeypatch.setattr(backends, "ON_CPU", ("cpu",))

    found = plan(name, build, lambda other: other == "cpu" or other in built)

    assert (found.now.name, found.later and found.later.name) == (now, later)


def test_without_any_backend_the_error_names_every_remedy() -> None:
    """The message says of each backend why not and what to install."""
    broken = Probe(False, detail="libtbb.so.12: cannot open", remedy="pip install y")

    with pytest.raises(MissingDependencyError) as caught:
        prefer({"openvino": broken, "onnxruntime": NO}, "x86_64")

    assert "openvino: libtbb.so.12: cannot open (pip install y); onnxruntime: No module named 'x' (pip install x)" in str(caught.value)


@pytest.mark.parametrize("name", ALWAYS)
def test_a_backend_that_is_named_is_taken(name: str) -> None:
    """Asking for a backend by name gives that one."""
    assert choose(name) == Choice(name, "as asked")


def test_auto_never_takes_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend for tests has to be asked for by name, however little else there is."""
    _hide(monkeypatch, "openvino", "onnxruntime")

    with pytest.raises(MissingDependencyError, match="no backend can be used here"):
        choose()


def test_auto_looks_at_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor decides between two usable backends, where there is no GPU."""
    monkeypatch.setattr(backends.platform, "machine", lambda: "aarch64")
    assert choose().name == "onnxruntime"

    monkeypatch.setattr(backends.platform, "machine", lambda: "x86_64")
    assert choose().name == "openvino"


def test_an_unknown_backend_is_wrong_usage() -> None:
    """The message lists what there is."""
    with pytest.raises(UsageError, match=r"there is no backend 'tensorflow'; choose auto or one of onnxruntime, openvino, .*fake"):
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
