"""Changing over to a backend whose engines are built beside the one that serves."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg import backends
from edgeseg.backends import BACKENDS, Choice, Session
from edgeseg.backends.fake import Fake
from edgeseg.backends.tensorrt import TensorRt
from edgeseg.backends.tensorrt.engines import Request
from edgeseg.bundle import Bundle, Graph, read_bundle
from edgeseg.device.fake import FakeDevice
from edgeseg.errors import BackendError
from edgeseg.families.base import KEY, WARP
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.swap import Opened, Report, Swap
from edgeseg.types import Frame, Result, Step
from tests.contract import fake_tensorrt
from tests.edgeseg.made_up_engines import Engines
from tests.edgeseg.made_up_graphs import Graphs

HW = (64, 64)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """What a test starts must have ended."""
    yield
    assert [thread for thread in threading.enumerate() if thread.name.startswith("edgeseg")] == []


def _frames(count: int, start: int = 0) -> list[Frame]:
    pixels = np.random.default_rng(0).integers(0, 256, (*HW, 3), np.uint8)
    return [Frame(pixels, index) for index in range(start, start + count)]


def _same(one: Result, other: Result) -> None:
    assert one.to_json()["instances"] == other.to_json()["instances"]
    assert one.to_json()["instances"]


def test_the_next_key_frame_changes_over(engines: Engines, video: Path) -> None:
    """Frames on either side are the same; those between key frames stay with the graphs of their key frame."""
    lines: list[str] = []
    with edgeseg.load(video, note=lines.append) as model, Pipeline(model, StreamSettings("fixed:3", "warp")) as pipeline:
        first = [pipeline.step(frame) for frame in _frames(2)]
        before = (model.choice.name, model.runs_on)
        engines.gate.set()
        model._swap.wait()
        assert engines.opened == [KEY, WARP]
        late = pipeline.step(_frames(1, 2)[0])
        assert (model.choice.name, model.runs_on) == before
        after = [pipeline.step(frame) for frame in _frames(3, 3)]
        assert (model.choice, model.runs_on) == (Choice("engines", "fastest on this GPU"), "engine of key")

    assert before[0] in ("openvino", "onnxruntime")
    assert [result.step for result in (*first, late, *after)] == [Step.KEY, Step.WARP, Step.WARP] * 2
    for result in (late, *after):
        _same(first[0], result)
    assert lines == [
        f"building engines for backend engines; {before[0]} serves until they are there",
        "backend engines (fastest on this GPU) takes over: its engines are built",
    ]
    assert sorted(engines.closed) == [KEY, WARP]


def _counting(bundle: Bundle, graphs: Graphs, name: str, noted: list[str]) -> Swap:
    def open_session(graph: str) -> Session:
        return Fake(graphs.answer).open(bundle.file(graph, "fp32"), bundle.graphs[graph], "fp32", None)

    return Swap(Choice(name, "for a test"), lambda _: None, open_session, noted.append)


def test_a_light_graph_gets_the_tensors_of_its_own_backend(video: Path) -> None:
    """What one backend carried is never given to the other, whichever streams share the model."""
    bundle, old, new = read_bundle(video), Graphs("yolact"), Graphs("yolact")
    opener = {name: Fake(old.answer).open(bundle.file(name, "fp32"), graph, "fp32", None) for name, graph in bundle.graphs.items()}
    model = Model(bundle, opener.__getitem__, Choice("old", "for a test"))
    noted: list[str] = []
    with model:
        early = model.key(_frames(1)[0])
        model.swap_to(_counting(bundle, new, "new", noted))
        model._swap.wait()
        fresh = model.key(_frames(1)[0])
        model.warp(_frames(1)[0], early.carry)
        model.warp(_frames(1)[0], fresh.carry)

    assert (old.runs, new.runs) == ([KEY, WARP], [KEY, WARP])
    assert noted == ["backend new (for a test) takes over: its engines are built"]


def test_the_graphs_before_are_closed_when_nothing_rests_on_them(video: Path, engines: Engines) -> None:
    """The last frame that could need them lets go of them; their memory is not held until the model is closed."""
    bundle = read_bundle(video)
    engines.gate.set()
    opener = lambda name: engines.open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", 1)  # noqa: E731
    with Model(bundle, opener, Choice("engines", "for a test")) as model:
        early = model.key(_frames(1)[0])
        model.swap_to(_counting(bundle, Graphs("yolact"), "new", []))
        model._swap.wait()
        model.key(_frames(1)[0])
        gc.collect()
        assert engines.closed == []
        del early
        gc.collect()
        assert engines.closed == [KEY]


def test_closing_the_model_closes_the_graphs_before_as_well(video: Path, engines: Engines) -> None:
    """Whoever still holds what they carried."""
    bundle = read_bundle(video)
    opener = lambda name: engines.open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", 1)  # noqa: E731
    with Model(bundle, opener, Choice("engines", "for a test")) as model:
        early = model.key(_frames(1)[0])
        model.swap_to(_counting(bundle, Graphs("yolact"), "new", []))
        model._swap.wait()
        model.key(_frames(1)[0])

    assert engines.closed == [KEY]
    assert early.carry.tensors


def test_overlapped_key_frames_change_over_too(engines: Engines, video: Path) -> None:
    """The key frame runs on another thread; frames go on with the old graphs until it is ready."""
    with edgeseg.load(video, note=lambda _: None) as model, Pipeline(model, StreamSettings("every", "warp", overlap=True)) as pipeline:
        results = [pipeline.step(frame) for frame in _frames(2)]
        engines.gate.set()
        model._swap.wait()
        for frame in _frames(4, 2):
            pipeline.settle()
            results.append(pipeline.step(frame))
        pipeline.settle()
        assert model.choice.name == "engines"

    assert [result.step for result in results] == [Step.KEY] + [Step.WARP] * 5
    for result in results[1:]:
        _same(results[0], result)
    assert WARP in engines.closed


@pytest.mark.parametrize("error", [BackendError("no Resize_7"), OSError("disk full"), RuntimeError("the driver is gone")])
def test_a_build_that_fails_leaves_the_one_that_serves(engines: Engines, video: Path, error: Exception) -> None:
    """One line says why; no frame is lost, and nothing is tried again."""
    lines: list[str] = []
    engines.error = error
    engines.gate.set()
    with edgeseg.load(video, note=lines.append) as model:
        model._swap.wait()
        serving = model.choice
        assert model(_frames(1)[0].pixels).instances
        assert model.choice == serving

    assert lines[1:] == [f"backend engines does not take over: {error}"]
    assert engines.opened == []


def test_an_engine_that_does_not_open_leaves_the_one_that_serves(engines: Engines, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a build that fails; what was open of it is closed."""
    whole = engines.open

    def open_key_only(file: Path, graph: Graph, precision: str, threads: int | None) -> Session:
        if file.stem == WARP:
            raise BackendError("out of memory")
        return whole(file, graph, precision, threads)

    monkeypatch.setattr(engines, "open", open_key_only)
    lines: list[str] = []
    with edgeseg.load(video, note=lines.append) as model:
        model.prepare_warp()
        engines.gate.set()
        model._swap.wait()
        model(_frames(1)[0].pixels)
        assert model.choice.name != "engines"

    assert lines[-1] == "backend engines does not take over: out of memory"
    assert engines.closed == [KEY]


def test_closing_gives_up_a_build(engines: Engines, video: Path) -> None:
    """The thread has ended when close returns, and nothing was opened; closing twice is fine."""
    model = edgeseg.load(video, note=lambda _: None)
    assert engines.started.wait(10)
    model.close()
    model.close()

    assert (engines.built, engines.opened) == (set(), [])


def test_what_was_ready_and_never_taken_is_closed(engines: Engines, video: Path) -> None:
    """A stream that ends before its next key frame leaves nothing open."""
    engines.gate.set()
    with edgeseg.load(video, note=lambda _: None) as model:
        model._swap.wait()

    assert engines.opened == engines.closed == [KEY]


def test_a_program_that_forgets_to_close_ends_in_order(video: Path, checkout: Path) -> None:
    """A build that goes on at the end of the program is given up, with no word about it."""
    script = f"""
import threading
from edgeseg import backends, load
from tests.edgeseg.made_up_engines import Engines

backends.BACKENDS["engines"] = Engines()
backends._GPU_FIRST, backends.find_gpu = ("engines",), lambda: "a GPU"
model = load({str(video)!r}, note=print)
backends.BACKENDS["engines"].started.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=checkout, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "serves until they are there" in done.stdout


def test_an_opened_graph_is_opened_once(video: Path) -> None:
    """And anew only when asked; the one before is closed."""
    opened: list[Any] = []
    bundle = read_bundle(video)
    graph = replace(bundle.graphs[KEY], carry={})

    def open_session(name: str) -> Session:
        opened.append(Fake().open(bundle.file(name, "fp32"), graph, "fp32", None))
        return opened[-1]

    graphs = Opened(Choice("fake", "for a test"), open_session)
    assert graphs.session(KEY) is graphs.session(KEY)
    graphs.reopen(KEY)

    assert (len(opened), graphs.names, graphs.session(KEY)) == (2, (KEY,), opened[1])
    with pytest.raises(BackendError, match="closed"):
        opened[0].run({})
    graphs.close()
    graphs.close()


def test_tensorrt_takes_over_on_a_device(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend itself, on the fake device: plans are made aside, tensors are carried on the device, and nothing is left there."""
    device, made, noted = FakeDevice(), [], []

    def plan(request: Request, report: Report, note: Any) -> bytes:
        report("building", 0.5)
        made.append((request.file.name, threading.current_thread().name))
        return fake_tensorrt.plan(request, report, note)

    parts = fake_tensorrt.parts(device, plan=plan, is_there=lambda request: request.file.name in dict(made))
    monkeypatch.setitem(BACKENDS, "tensorrt", TensorRt(parts))
    monkeypatch.setattr(backends, "find_gpu", lambda: "a GPU")
    with edgeseg.load(video, note=noted.append) as model, Pipeline(model, StreamSettings("fixed:2", "warp")) as pipeline:
        first = [pipeline.step(frame) for frame in _frames(2)]
        model._swap.wait()
        later = [pipeline.step(frame) for frame in _frames(4, 2)]
        assert (model.choice.name, model.runs_on.partition(",")[0]) == ("tensorrt", "fake GPU")
        assert device.live
        del pipeline._key

    for result in (*first, *later):
        _same(first[0], result)
    assert {name for name, thread in made if thread == "edgeseg-build"} == {"key.onnx", "warp.onnx"}
    assert noted[-1] == "backend tensorrt (fastest on this GPU) takes over: its engines are built"
    gc.collect()
    assert device.live == []
