"""OpenVINO's own bfloat16: asked for by name, never silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.backends import openvino
from edgeseg.backends.openvino import BF16, OpenVino
from edgeseg.errors import BackendError
from tests.contract.graphs import GRAPHS, TinyGraph

LAYER = next(graph for graph in GRAPHS if graph.name == "layer")


class _Core:
    """A core of a CPU with or without bfloat16, that only notes what it is to compile."""

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = list(capabilities)
        self.settings: list[dict[str, Any]] = []

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return self.capabilities

    def compile_model(self, _file: str, _device: str, settings: dict[str, Any]) -> Any:
        self.settings.append(settings)
        raise RuntimeError("only settings are looked at")


def _settings(monkeypatch: pytest.MonkeyPatch, precision: str, threads: int | None = None) -> dict[str, Any]:
    core = _Core("FP32", "BF16")
    monkeypatch.setattr(openvino, "_core", lambda: core)
    file, graph = LAYER.stored()
    with pytest.raises(BackendError, match="only settings are looked at"):
        OpenVino().open(file, graph, precision, threads)
    return core.settings[0]


@pytest.mark.parametrize(("precision", "hint"), [("fp32", "f32"), ("fp16", "f32"), ("int8", "f32"), ("bf16", "bf16")])
def test_bfloat16_is_used_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, precision: str, hint: str) -> None:
    """Left alone, OpenVINO would compute every graph in it on CPUs that have it."""
    assert _settings(monkeypatch, precision)["INFERENCE_PRECISION_HINT"] == hint


def test_threads_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """All cores where none are named."""
    assert _settings(monkeypatch, "fp32", 3)["INFERENCE_NUM_THREADS"] == 3
    assert "INFERENCE_NUM_THREADS" not in _settings(monkeypatch, "fp32")


def test_a_cpu_without_bfloat16_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would silently compute in float otherwise; other precisions are not asked about."""
    monkeypatch.setattr(openvino, "_core", lambda: _Core("FP32", "INT8"))
    file, graph = LAYER.stored()

    with pytest.raises(BackendError, match=r"does not compute in bfloat16 on this CPU: .* Use --precision fp32"):
        OpenVino().open(file, graph, BF16, None)
    with pytest.raises(BackendError, match="only settings are looked at"):
        OpenVino().open(file, graph, "int8", None)


def test_it_runs_the_float32_graph() -> None:
    """The manifest holds no file for it."""
    assert OpenVino().own_precisions == {"bf16": "fp32"}


def _run(graph: TinyGraph, precision: str) -> tuple[np.ndarray, np.ndarray, str]:
    feeds = graph.feeds(np.random.default_rng(0))
    file, spec = graph.stored()
    with OpenVino().open(Path(file), spec, precision, 1) as session:
        return session.run(feeds)["y"], graph.reference(feeds)["y"], session.runs_on


def test_bfloat16_is_near_and_says_so() -> None:
    """Eight bits of mantissa: some hundredths off, and float32 outputs as before."""
    if "BF16" not in openvino._core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU does not compute in bfloat16")

    found, wanted, runs_on = _run(LAYER, BF16)

    assert found.dtype == np.float32
    assert runs_on == "CPU, bf16, 1 threads"
    np.testing.assert_allclose(found, wanted, atol=0.1)
    np.testing.assert_allclose(_run(LAYER, "fp32")[0], wanted, atol=1e-5)
