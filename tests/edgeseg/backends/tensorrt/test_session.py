"""Sessions of TensorRT on the fake device: what stays on it, what is replayed, what happens when something fails."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeseg.backends.base import Probe
from edgeseg.backends.tensorrt import TensorRt
from edgeseg.backends.tensorrt.gpu import Gpu
from edgeseg.backends.tensorrt.library import TENSORRT_RTX, Library
from edgeseg.backends.tensorrt.session import TensorRtSession
from edgeseg.bundle import Graph
from edgeseg.device import DeviceProbe
from edgeseg.device.fake import FakeDevice
from edgeseg.errors import BackendError, MissingDependencyError
from edgeseg.types import AnyArray
from tests.contract import fake_tensorrt
from tests.contract.graphs import GRAPHS

DIFFERENCE = GRAPHS[0]
ONES = {"b": np.ones((2, 3), np.float32)}


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    """A device on which nothing may be left when the test ends."""
    opened = FakeDevice()
    yield opened
    gc.collect()
    assert opened.live == []


def _open(device: FakeDevice, folder: Path, backend: TensorRt | None = None) -> TensorRtSession:
    """A session of ``y = a - b`` whose output feeds ``a`` of a later run."""
    file, graph = DIFFERENCE.write(folder)
    session = (backend or fake_tensorrt.backend(device)).open(file, replace(graph, carry={"a": "y"}), "fp32", None)
    assert isinstance(session, TensorRtSession)
    return session


def _feeds(level: float = 0) -> dict[str, AnyArray]:
    return {"a": np.full((2, 3), level, np.float32), **ONES}


def _context(session: TensorRtSession) -> fake_tensorrt.Context:
    assert session._engine is not None
    context = session._engine.context
    assert isinstance(context, fake_tensorrt.Context)
    return context


def test_closing_leaves_nothing_on_the_device(device: FakeDevice, tmp_path: Path) -> None:
    """After runs of every kind."""
    with _open(device, tmp_path) as session:
        session.run(_feeds())
        _, carry = session.run_carrying(_feeds(), {})
        session.run_carrying(ONES, carry)
        del carry


def test_frames_allocate_nothing(device: FakeDevice, tmp_path: Path) -> None:
    """The memory of a carried tensor that nobody refers to serves the next one; two are alive at a time, so two are made."""
    with _open(device, tmp_path) as session:
        alone = len(device.live)
        _, carry = session.run_carrying(_feeds(), {})
        counts = []
        for _ in range(50):
            _, carry = session.run_carrying(ONES, carry)
            counts.append(len(device.live) - alone)
        assert set(counts) == {4}  # two buffers, each with its event
        del carry


def test_carried_tensors_outlive_their_session(device: FakeDevice, tmp_path: Path) -> None:
    """They are freed when nobody refers to them any more, whichever way they go."""
    with _open(device, tmp_path) as session:
        _, carry = session.run_carrying(_feeds(5), {})
        _, gone = session.run_carrying(_feeds(), {})
        del gone
    assert len(device.live) == 2

    with _open(device, tmp_path) as other:
        _, later = other.run_carrying(ONES, carry)
        outputs = other.run_carrying(ONES, later)
    del outputs
    assert len(device.live) == 4
    del carry, later


def test_a_run_is_captured_once_and_replayed(device: FakeDevice, tmp_path: Path) -> None:
    """The library is asked to enqueue twice, before the first frame: to warm up and to be captured."""
    with _open(device, tmp_path) as session:
        context = _context(session)
        context.failing = 10**9
        for level in range(3):
            assert session.run(_feeds(level))["y"][0, 0] == level - 1
        assert session.runs_on == "fake GPU, TensorRT 0.fake, fp32, numpy, CUDA graph"


@pytest.mark.parametrize("who", ["device", "engine"])
def test_what_cannot_be_captured_is_enqueued(who: str, device: FakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are the same, and `runs_on` tells why."""
    device.can_capture = who != "device"
    if who == "engine":
        monkeypatch.setattr(fake_tensorrt.Context, "is_stream_capturable", lambda *_: False, raising=False)
    with _open(device, tmp_path) as session:
        assert session.run(_feeds(3))["y"][0, 0] == 2
        reason = "this fake device cannot capture" if who == "device" else "the engine cannot be captured"
        assert session.runs_on.endswith(f", without CUDA graph: {reason}")


def test_an_engine_that_fails_in_capture_is_enqueued(device: FakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some layers wait for the device; their words do not stay to be blamed for a later failure."""
    capture = device.capture

    def capture_failing(stream: Any, work: Any) -> Any:
        contexts[0].failing = 1
        return capture(stream, work)

    contexts: list[fake_tensorrt.Context] = []
    create = fake_tensorrt.Engine.create_execution_context
    monkeypatch.setattr(fake_tensorrt.Engine, "create_execution_context", lambda self: contexts.append(create(self)) or contexts[-1])
    monkeypatch.setattr(device, "capture", capture_failing)
    with _open(device, tmp_path) as session:
        assert "without CUDA graph: TensorRT failed while running the graph" in session.runs_on
        assert session.run(_feeds(3))["y"][0, 0] == 2
        assert session._engine is not None
        assert session._engine.errors == []


def test_a_run_that_fails_says_what_the_library_said(device: FakeDevice, tmp_path: Path) -> None:
    """The next run works, and nothing of the failed one is in it."""
    device.can_capture = False
    with _open(device, tmp_path) as session:
        _context(session).failing = 1
        with pytest.raises(BackendError, match=r"TensorRT failed while running the graph: .*a made-up failure.*'edgeseg doctor'"):
            session.run_carrying(_feeds(100), {})
        assert session.run(_feeds(3))["y"][0, 0] == 2


def test_only_what_is_wanted_leaves_the_device(device: FakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A carried output is not copied to the host, a carried input not from it."""
    copies: list[str] = []
    for name in ("h2d", "d2h"):
        honest = getattr(device, name)
        monkeypatch.setattr(device, name, lambda *all_, name=name, honest=honest: copies.append(name) or honest(*all_))
    with _open(device, tmp_path) as session:
        copies.clear()
        _, carry = session.run_carrying(_feeds(), {})
        assert copies == ["h2d", "h2d"]
        copies.clear()
        session.run_carrying(ONES, carry)
        assert copies == ["h2d"]
        copies.clear()
        session.run(_feeds())
        assert copies == ["h2d", "h2d", "d2h"]
        del carry


def test_the_device_time_is_that_of_the_graph(device: FakeDevice, tmp_path: Path) -> None:
    """One piece of work and the event behind it, of a microsecond each; there is none before the first run."""
    with _open(device, tmp_path) as session:
        assert session.device_s is None
        session.run(_feeds())
        assert session.device_s == pytest.approx(2e-6)


def test_another_session_waits_for_a_carried_tensor(device: FakeDevice, tmp_path: Path) -> None:
    """Its copy is still queued in the stream of the session that gave it when the other session takes it."""
    backend = fake_tensorrt.backend(device)
    with _open(device, tmp_path, backend) as key, _open(device, tmp_path, backend) as warp:
        warp.graph = replace(warp.graph, carry={})
        for level in range(3):
            _, carry = key.run_carrying(_feeds(level), {})
            assert warp.run_carrying(ONES, carry)[0]["y"][0, 0] == level - 2
        del carry


def test_two_threads_use_two_sessions(device: FakeDevice, tmp_path: Path) -> None:
    """Key frames on one, light frames on tensors of an older key frame on the other."""
    backend = fake_tensorrt.backend(device)
    with _open(device, tmp_path, backend) as key, _open(device, tmp_path, backend) as warp:
        _, carry = key.run_carrying(_feeds(7), {})
        thread = threading.Thread(target=lambda: [key.run_carrying(_feeds(level), {}) for level in range(200)] and None)
        thread.start()
        plain = replace(warp.graph, carry={})
        warp.graph = plain
        found = {float(warp.run_carrying(ONES, carry)[0]["y"][0, 0]) for _ in range(200)}
        thread.join()
        assert found == {5.0}
        del carry


def test_a_device_without_memory_is_an_error_and_keeps_nothing(tmp_path: Path) -> None:
    """Wherever it runs out: each step of opening gives back what the steps before it took."""
    failed = []
    for total in range(0, 121, 12):
        device = FakeDevice(total_bytes=total)
        try:
            with _open(device, tmp_path) as session:
                session.run_carrying(_feeds(), {})
        except BackendError as error:
            failed.append(str(error))
        gc.collect()
        assert device.live == [], f"with {total} bytes"
    # Two inputs, an output, and one that is carried, of 24 bytes each.
    assert len(failed) == 96 // 12
    assert all("no 0.0 MB of memory left" in text for text in failed)


def test_a_plan_that_is_refused_is_built_again_with_one_line(device: FakeDevice, tmp_path: Path) -> None:
    """The cached engine of another library version, say, is thrown away."""
    asked: list[bool] = []
    notes: list[str] = []

    def damaged_once(request: Any, *others: Any) -> bytes:
        asked.append(request.force)
        plan = fake_tensorrt.plan(request, *others)
        return plan if request.force else plan[:20]

    backend = TensorRt(fake_tensorrt.parts(device, plan=damaged_once), note=notes.append)
    with _open(device, tmp_path, backend) as session:
        assert session.run(_feeds(3))["y"][0, 0] == 2
    assert asked == [False, True]
    assert len(notes) == 1
    assert "cannot load the engine for difference.onnx" in notes[0]
    assert "building it again" in notes[0]


def test_a_plan_that_is_always_refused_is_an_error(device: FakeDevice, tmp_path: Path) -> None:
    """Not a loop, and not an exception of ours that no user should meet."""
    backend = TensorRt(fake_tensorrt.parts(device, plan=lambda *_: b"no plan"), note=lambda _: None)

    with pytest.raises(BackendError, match=r"TensorRT 0\.fake cannot load .*difference\.onnx: it refuses even the engine.*--backend"):
        _open(device, tmp_path, backend)


def test_an_engine_without_a_context_is_an_error(device: FakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT takes the scratch memory of an engine there."""
    monkeypatch.setattr(fake_tensorrt.Engine, "create_execution_context", lambda _: None)

    with pytest.raises(BackendError, match="preparing to run the engine, for which the GPU may lack memory: it gave no reason"):
        _open(device, tmp_path)


def test_the_engine_must_have_what_the_manifest_declares(device: FakeDevice, tmp_path: Path) -> None:
    """A plan of another graph is found out before it runs."""
    file, graph = DIFFERENCE.write(tmp_path)
    declared = Graph(graph.files, graph.inputs[:1], (replace(graph.outputs[0], name="z"),))

    with pytest.raises(BackendError, match=r"lacks the outputs z: float32 \[2, 3\]"):
        fake_tensorrt.backend(device).open(file, declared, "fp32", None)


def test_a_missing_library_is_told_by_the_probe_and_by_opening(tmp_path: Path, device: FakeDevice) -> None:
    """What to install."""

    def find() -> Any:
        raise MissingDependencyError("TensorRT is needed: pip install it")

    backend = TensorRt(fake_tensorrt.parts(device, find_library=find))
    probe = backend.probe()

    assert (probe.usable, probe.version, probe.detail) == (False, "", "TensorRT is needed: pip install it")
    assert "pip install 'edgeseg[tensorrt]'" in probe.remedy
    with pytest.raises(MissingDependencyError):
        _open(device, tmp_path, backend)


def test_a_missing_gpu_is_told_by_the_probe_and_by_opening(tmp_path: Path, device: FakeDevice) -> None:
    """With the version of the library that is there."""
    nothing = (None, DeviceProbe(False, "", "pycuda: no driver", "install the driver"))
    backend = TensorRt(fake_tensorrt.parts(device, choose_device=lambda: nothing))
    probe = backend.probe()

    assert (probe.usable, probe.version, probe.remedy) == (False, "0.fake", "install the driver")
    assert probe.detail == "TensorRT 0.fake is installed, but no GPU can be used. pycuda: no driver"
    with pytest.raises(BackendError, match=r"pycuda: no driver\. To get it: install the driver"):
        _open(device, tmp_path, backend)


def test_a_gpu_that_the_library_does_not_run_on_is_told_by_the_probe(device: FakeDevice) -> None:
    """Before anything is built for it: TensorRT-RTX leaves out GPUs of data centres. The remedy is the library that does not."""
    rtx = Library(SimpleNamespace(ComputeCapability=SimpleNamespace(SM86=1, SM120=2)), TENSORRT_RTX, "1.7")

    def probe(capability: tuple[int, int]) -> Probe:
        return TensorRt(fake_tensorrt.parts(device, find_library=lambda: rtx, find_gpu=lambda: Gpu("a GPU", capability))).probe()

    hopper = probe((9, 0))
    assert (hopper.usable, hopper.version) == (False, "1.7")
    assert hopper.detail == "TensorRT-RTX 1.7 does not run on a GPU (sm90), only on sm86, sm120"
    assert "install TensorRT itself" in hopper.remedy
    assert probe((8, 6)).usable
