"""TensorRT on a real GPU: engines built here, held to numpy and to ONNX Runtime's CPU kernels."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import BACKENDS, Backend
from edgeseg.backends.base import Carried, Session
from edgeseg.backends.tensorrt import TensorRt
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.sources.synthetic.config import SceneConfig
from edgeseg.sources.synthetic.source import SyntheticSource
from edgeseg.types import AnyArray
from tests.contract.graphs import GRAPHS, TinyGraph

MB = 1 << 20
SIDE = 320


def _pictures(count: int) -> list[AnyArray]:
    """Frames of a synthetic scene at the demo bundle's size, uint8 (1, 320, 320, 3)."""
    source = SyntheticSource(SceneConfig(size_hw=(SIDE, SIDE), frame_count=count, seed=3))
    return [frame.pixels[None] for frame in source]


@pytest.fixture
def demo() -> Bundle:
    """The bundle that ships: a full graph and a light one that takes three tensors of it."""
    return read_bundle(edgeseg.demo_bundle())


def _open(backend: Backend, bundle: Bundle, graph: str) -> Session:
    return backend.open(bundle.file(graph, "fp32"), bundle.graphs[graph], "fp32", None)


@pytest.fixture
def sessions(tensorrt: TensorRt, demo: Bundle) -> Iterator[tuple[Session, Session]]:
    """The demo bundle's two graphs."""
    with _open(tensorrt, demo, "key") as key, _open(tensorrt, demo, "warp") as warp:
        yield key, warp


@pytest.mark.parametrize("tiny", GRAPHS, ids=lambda tiny: tiny.name)
def test_outputs_are_those_of_the_reference(tensorrt: TensorRt, tiny: TinyGraph) -> None:
    """Of each graph of the contract, several times in a row: the first run, captured and replayed ones."""
    random = np.random.default_rng(0)
    file, graph = tiny.stored()
    with tensorrt.open(file, graph, "fp32", None) as session:
        for _ in range(4):
            feeds = tiny.feeds(random)
            found, wanted = session.run(feeds), tiny.reference(feeds)
            for spec in graph.outputs:
                assert (found[spec.name].dtype.name, found[spec.name].shape) == (spec.dtype, spec.shape)
                np.testing.assert_allclose(found[spec.name], wanted[spec.name], rtol=1e-4, atol=1e-4)


def test_the_demo_bundle_gives_what_onnx_runtime_gives(sessions: tuple[Session, Session], demo: Bundle) -> None:
    """Both graphs, the light one on tensors that stayed on the device: scores, boxes and masks' parts of all clear detections."""
    pictures = _pictures(6)
    with _open(BACKENDS["onnxruntime"], demo, "key") as key, _open(BACKENDS["onnxruntime"], demo, "warp") as warp:
        wanted, carry = key.run_carrying({"image": pictures[0]}, {})
        found, own_carry = sessions[0].run_carrying({"image": pictures[0]}, {})
        _require_alike(found, wanted)
        for picture in pictures[1:]:
            wanted, _ = warp.run_carrying({"image": picture}, carry)
            found, _ = sessions[1].run_carrying({"image": picture}, own_carry)
            _require_alike(found, wanted)


def _require_alike(found: dict[str, AnyArray], wanted: dict[str, AnyArray]) -> None:
    assert set(found) == set(wanted)
    clear = wanted["scores"] > 0.3
    assert clear.sum() > 0
    np.testing.assert_array_equal(found["classes"][clear], wanted["classes"][clear])
    for name in ("scores", "boxes", "coefficients"):
        np.testing.assert_allclose(found[name][clear], wanted[name][clear], rtol=1e-2, atol=1e-2, err_msg=name)
    np.testing.assert_allclose(found["prototypes"], wanted["prototypes"], rtol=1e-2, atol=1e-2)


def test_carried_tensors_outlive_later_runs(sessions: tuple[Session, Session]) -> None:
    """An older key frame's tensors give the same again after thirty newer key frames."""
    pictures = _pictures(3)
    key, warp = sessions
    _, old = key.run_carrying({"image": pictures[0]}, {})
    before, _ = warp.run_carrying({"image": pictures[1]}, old)
    kept: list[dict[str, Carried]] = []
    for _ in range(30):
        kept = [*kept[-2:], key.run_carrying({"image": pictures[2]}, {})[1]]
    after, _ = warp.run_carrying({"image": pictures[1]}, old)

    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)


def test_key_frames_may_run_on_another_thread(sessions: tuple[Session, Session]) -> None:
    """As overlapped key frames do: both graphs at once give what they give alone."""
    pictures = _pictures(2)
    key, warp = sessions
    alone, carry = key.run_carrying({"image": pictures[0]}, {})
    light, _ = warp.run_carrying({"image": pictures[1]}, carry)
    found: list[dict[str, AnyArray]] = []
    thread = threading.Thread(target=lambda: found.extend(key.run_carrying({"image": pictures[0]}, {})[0] for _ in range(50)))
    thread.start()
    for _ in range(50):
        again, _ = warp.run_carrying({"image": pictures[1]}, carry)
        np.testing.assert_array_equal(again["boxes"], light["boxes"])
    thread.join()

    assert len(found) == 50
    for outputs in found:
        np.testing.assert_array_equal(outputs["boxes"], alone["boxes"])


def test_memory_stays_as_it_is(tensorrt: TensorRt, sessions: tuple[Session, Session]) -> None:
    """A thousand frames of video, with a key frame in five, allocate nothing on the device after the first hundred."""
    pictures = _pictures(5)
    key, warp = sessions

    def play(frames: int) -> None:
        carry: dict[str, Carried] = {}
        for index in range(frames):
            picture = {"image": pictures[index % 5]}
            if index % 5 == 0:
                _, carry = key.run_carrying(picture, {})
            else:
                warp.run_carrying(picture, carry)

    play(100)
    before = _free_bytes(tensorrt)
    play(1000)
    assert abs(_free_bytes(tensorrt) - before) < 8 * MB


def _free_bytes(backend: TensorRt) -> int:
    device = backend._device
    assert device is not None
    with device.active():
        return device.free_bytes()


def test_closing_gives_the_memory_back(tensorrt: TensorRt, demo: Bundle) -> None:
    """Twenty sessions, one after the other, leave the device as two did."""
    left = []
    for _ in range(20):
        _open(tensorrt, demo, "key").close()
        gc.collect()
        left.append(_free_bytes(tensorrt))
    assert left[1] - left[-1] < 8 * MB


def test_it_tells_the_device_time_and_where_it_runs(sessions: tuple[Session, Session]) -> None:
    """Seconds of the graph alone, and in words the GPU, the library, and whether runs are replayed."""
    key, _ = sessions
    key.run_carrying({"image": _pictures(1)[0]}, {})

    assert 1e-5 < key.device_s < 1  # type: ignore[attr-defined]
    assert "TensorRT" in key.runs_on
    assert "CUDA graph" in key.runs_on


def test_a_plan_that_cannot_be_loaded_is_built_again(tensorrt: TensorRt, demo: Bundle) -> None:
    """With one line of explanation, whatever the library thinks of it."""
    notes: list[str] = []
    _open(tensorrt, demo, "warp").close()
    honest = tensorrt._parts.plan
    forced: list[bool] = []

    def damaged_once(request: object, *others: object) -> bytes:
        forced.append(request.force)  # type: ignore[attr-defined]
        plan = honest(request, *others)  # type: ignore[arg-type]
        return plan if len(forced) > 1 else plan[: len(plan) // 2]

    again = TensorRt(replace(tensorrt._parts, plan=damaged_once), note=notes.append)
    with _open(again, demo, "warp"):
        assert forced == [False, True]
        assert len(notes) == 1
        assert "building it again" in notes[0]


def test_a_video_runs_from_the_command_line(tensorrt: TensorRt, tmp_path: Path) -> None:
    """`edgeseg run` on the demo bundle: exit code 0, one line of JSON a frame."""
    out = tmp_path / "found.jsonl"
    command = [sys.executable, "-m", "edgeseg", "run", str(edgeseg.demo_bundle()), "synthetic:", "--backend", "tensorrt"]
    ended = subprocess.run([*command, "--jsonl", str(out), "--max-frames", "12"], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert len(out.read_text().splitlines()) == 12
