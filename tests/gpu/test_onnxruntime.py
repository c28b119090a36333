"""ONNX Runtime's providers on a real GPU, held to numpy and to its own CPU kernels."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import BACKENDS, Backend
from edgeseg.backends.base import Session
from edgeseg.backends.onnxruntime import ON_GPU
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.errors import BackendError
from edgeseg.sources.synthetic.config import SceneConfig
from edgeseg.sources.synthetic.source import SyntheticSource
from edgeseg.types import AnyArray
from tests.contract.graphs import GRAPHS, TinyGraph

SIDE = 320
CLEAR = 0.3


@pytest.fixture(params=[provider.backend for provider in ON_GPU])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each provider that can be used here."""
    found = BACKENDS[request.param]
    probe = found.probe()
    if not probe.usable:
        pytest.skip(f"{found.name}: {probe.detail} ({probe.remedy})")
    return found


@pytest.fixture
def demo() -> Bundle:
    """The bundle that ships: a full graph and a light one that takes three tensors of it."""
    return read_bundle(edgeseg.demo_bundle())


def _pictures(count: int) -> list[AnyArray]:
    """Frames of a synthetic scene at the demo bundle's size, uint8 (1, 320, 320, 3)."""
    return [frame.pixels[None] for frame in SyntheticSource(SceneConfig(size_hw=(SIDE, SIDE), frame_count=count, seed=3))]


def _open(backend: Backend, bundle: Bundle, graph: str) -> Session:
    return backend.open(bundle.file(graph, "fp32"), bundle.graphs[graph], "fp32", None)


@pytest.mark.parametrize("tiny", GRAPHS, ids=lambda tiny: tiny.name)
def test_outputs_are_those_of_the_reference(backend: Backend, tiny: TinyGraph) -> None:
    """Of each graph of the contract, for several inputs in a row."""
    random = np.random.default_rng(0)
    with backend.open(*tiny.stored(), "fp32", None) as session:
        for _ in range(4):
            feeds = tiny.feeds(random)
            found, wanted = session.run(feeds), tiny.reference(feeds)
            for spec in session.graph.outputs:
                assert (found[spec.name].dtype.name, found[spec.name].shape) == (spec.dtype, spec.shape)
                np.testing.assert_allclose(found[spec.name], wanted[spec.name], rtol=1e-4, atol=1e-4)


def test_the_demo_bundle_gives_what_the_cpu_gives(backend: Backend, demo: Bundle) -> None:
    """Both graphs, every picture its own answer; the light one on tensors that stayed on the GPU."""
    cpu = BACKENDS["onnxruntime"]
    first, *others = _pictures(5)
    with ExitStack() as held:
        key, warp, key_cpu, warp_cpu = (held.enter_context(_open(one, demo, graph)) for one in (backend, cpu) for graph in ("key", "warp"))
        carry, carry_cpu = (session.run_carrying({"image": first}, {})[1] for session in (key, key_cpu))
        for picture in others:
            _require_alike(key.run({"image": picture}), key_cpu.run({"image": picture}))
            _require_alike(*(one.run_carrying({"image": picture}, own)[0] for one, own in ((warp, carry), (warp_cpu, carry_cpu))))


def _require_alike(found: dict[str, AnyArray], wanted: dict[str, AnyArray]) -> None:
    """Clear detections in the same order; weak ones may change places, because sums are rounded otherwise."""
    clear = wanted["scores"].ravel() > CLEAR
    assert clear.any()
    np.testing.assert_allclose(found["scores"].ravel()[clear], wanted["scores"].ravel()[clear], atol=1e-4)
    np.testing.assert_allclose(found["prototypes"], wanted["prototypes"], atol=1e-3)


def test_all_of_the_demo_bundle_runs_on_the_gpu(backend: Backend, demo: Bundle) -> None:
    """Opening refuses what would fall to the CPU; the words say how many nodes are where."""
    for graph in demo.graphs:
        with _open(backend, demo, graph) as session:
            assert " nodes" in session.runs_on
            assert "on CPU" not in session.runs_on


def test_two_threads_have_a_graph_each(backend: Backend, demo: Bundle) -> None:
    """Key frames on one while another runs the light graph, as the pipeline does: the answers are those of one thread."""
    pictures, failed = _pictures(8), []
    with _open(backend, demo, "key") as key, _open(backend, demo, "warp") as warp:
        _, carry = key.run_carrying({"image": pictures[0]}, {})
        wanted = [(key.run({"image": p}), warp.run_carrying({"image": p}, carry)[0]) for p in pictures]

        def again(number: int, run: Any) -> None:
            for picture, answers in zip(pictures, wanted, strict=True):
                found = run({"image": picture})
                if not np.allclose(found["scores"], answers[number]["scores"], atol=1e-4):
                    failed.append(number)

        threads = [
            threading.Thread(target=again, args=(0, key.run)),
            threading.Thread(target=again, args=(1, lambda feeds: warp.run_carrying(feeds, carry)[0])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []


def test_nothing_is_said_on_the_terminal(backend: Backend, demo: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not by opening, running and closing, nor by a file that cannot be opened, whose error says it."""
    with _open(backend, demo, "key") as session:
        session.run({"image": _pictures(1)[0]})
    (tmp_path / "key.onnx").write_bytes(b"no graph at all")
    with pytest.raises(BackendError, match=r"cannot load .*key\.onnx"):
        backend.open(tmp_path / "key.onnx", demo.graphs["key"], "fp32", None)

    assert capfd.readouterr() == ("", "")
