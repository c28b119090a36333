"""Key frames that are seen together with the key frame before: which graph runs, and on what."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import Bundle, read_bundle
from edgeseg.errors import BundleError
from edgeseg.families.base import FUSE, KEY, WARP
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule import Policy
from edgeseg.swap import Swap
from edgeseg.types import AnyArray, Frame, Step
from tests.bundles import KEY_STATE, REFERENCE, STATE, tiny_bundle
from tests.edgeseg.made_up_graphs import Graphs

HW = (64, 64)


@pytest.fixture
def graphs() -> Graphs:
    """What answers in place of graphs."""
    return Graphs("yolact")


def _model(folder: Path, graphs: Graphs, warp: bool = False) -> Model:
    bundle = read_bundle(tiny_bundle(folder, warp=warp, fuse=True))
    return Model(bundle, _opener(bundle, graphs.answer), Choice("old", "for a test"), clock=graphs.clock)


def _opener(bundle: Bundle, answer: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]]) -> Callable[[str], Any]:
    return lambda name: Fake(answer).open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", None)


def _frames(numbers: range, hw: tuple[int, int] = HW) -> list[Frame]:
    """A textured picture whose first pixels tell the frame's number."""
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, 3), np.uint8)
    pictures = []
    for index in numbers:
        pictures.append(Frame(pixels.copy(), index))
        pictures[-1].pixels[:2, :2] = index
    return pictures


def test_each_key_frame_is_seen_with_the_one_before(tmp_path: Path, graphs: Graphs) -> None:
    """The first alone; with every frame a key frame, the one before is the frame before."""
    with Pipeline(_model(tmp_path / "b", graphs)) as pipeline:
        steps = [pipeline.step(frame).step for frame in _frames(range(4))]

    assert (steps, graphs.runs, graphs.references) == ([Step.KEY] * 4, [KEY, FUSE, FUSE, FUSE], [0, 1, 2])


def test_frames_between_do_not_change_what_is_carried(tmp_path: Path, graphs: Graphs) -> None:
    """The reference is the key frame before, whatever the frames between got; the light graph gets its own tensors only."""
    model = _model(tmp_path / "b", graphs, warp=True)
    steps = iter([Step.WARP, Step.PROPAGATE, Step.KEY, Step.DROP, Step.WARP, Step.KEY])
    with Pipeline(model, StreamSettings(Policy(lambda _: next(steps), watches=True))) as pipeline:
        for frame in _frames(range(7)):
            pipeline.step(frame)

    assert graphs.runs == [KEY, WARP, FUSE, WARP, FUSE]
    assert (graphs.references, graphs.states) == ([0, 3], [0, 3])


def test_a_faithful_first_frame_is_fused_with_itself(tmp_path: Path, graphs: Graphs) -> None:
    """As the original does; its stages are those of both graphs together."""
    with Pipeline(_model(tmp_path / "b", graphs), StreamSettings(faithful=True)) as pipeline:
        first, _ = (pipeline.step(frame) for frame in _frames(range(2)))

    assert (graphs.runs, graphs.references) == ([KEY, FUSE, FUSE], [0, 0])
    assert first.spans["infer"] == graphs.run_s[KEY] + graphs.run_s[FUSE]


@pytest.mark.parametrize(("faithful", "start"), [(False, [KEY]), (True, [KEY, FUSE])])
def test_another_picture_size_starts_anew(tmp_path: Path, graphs: Graphs, faithful: bool, start: list[str]) -> None:
    """What was carried is for pictures of the other size."""
    with Pipeline(_model(tmp_path / "b", graphs), StreamSettings(faithful=faithful)) as pipeline:
        for frame in [*_frames(range(2)), *_frames(range(2, 4), (60, 90))]:
            pipeline.step(frame)

    assert graphs.runs == [*start, FUSE] * 2
    assert graphs.references[-1] == 2


def test_overlapped_key_frames_are_seen_with_the_newest_one(tmp_path: Path, graphs: Graphs) -> None:
    """Also with one that has not come forward to the current frame yet."""
    with Pipeline(_model(tmp_path / "b", graphs), StreamSettings(overlap=True)) as pipeline:
        for frame in _frames(range(4)):
            pipeline.step(frame)
            pipeline.settle()
        graphs.gate.clear()
        late = _frames(range(4, 16))
        for frame in late[:8]:
            pipeline.step(frame)
        graphs.gate.set()
        pipeline.settle()
        for frame in late[8:]:
            pipeline.step(frame)
            pipeline.settle()

    # Frame 3's was taken over by frame 4, which was held up; while it came forward, frame 12 was seen with it.
    assert graphs.references[:5] == [0, 1, 2, 3, 4]
    assert graphs.runs == [KEY] + [FUSE] * len(graphs.references)


def test_a_backend_that_takes_over_sees_its_first_key_frame_alone(tmp_path: Path, graphs: Graphs) -> None:
    """It cannot open the other's tensors; from the next key frame on it has its own."""
    model, newer, noted = _model(tmp_path / "b", graphs), Graphs("yolact"), list[str]()
    with model, Pipeline(model) as pipeline:
        frames = _frames(range(5))
        for frame in frames[:2]:
            pipeline.step(frame)
        model.swap_to(Swap(Choice("new", "for a test"), lambda _: None, _opener(model.bundle, newer.answer), noted.append))
        model._swap.wait()
        for frame in frames[2:]:
            pipeline.step(frame)

    assert (graphs.runs, newer.runs) == ([KEY, FUSE], [KEY, FUSE, FUSE])
    assert newer.references == [2, 3]


def test_the_graph_is_open_before_the_first_frame(tmp_path: Path, graphs: Graphs) -> None:
    """The second frame does not wait for it."""
    model = _model(tmp_path / "b", graphs)
    with Pipeline(model):
        assert model._opened.names == (KEY, FUSE)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_real_backends_fuse(tmp_path: Path, backend: str) -> None:
    """The graph's own output is its input on the next key frame."""
    with edgeseg.load(tiny_bundle(tmp_path / "b", fuse=True), backend=backend, threads=1) as model:
        results = [result for _, result in edgeseg.stream(model, "synthetic:frames=3,size=64x48")]
        carry = model.key(_frames(range(1))[0]).carry
        fused = model.key(_frames(range(1))[0], carry)

    assert [len(result.instances) for result in results] == [2, 2, 2]
    assert fused.carry.tensors.keys() == carry.tensors.keys() == {REFERENCE}


@pytest.mark.parametrize("carry", [{}, {KEY_STATE: STATE}])
def test_both_graphs_of_key_frames_must_carry_the_same(tmp_path: Path, graphs: Graphs, carry: dict[str, str]) -> None:
    """Whichever ran, the next key frame needs it."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b", warp=True, fuse=True))
    object.__setattr__(bundle.graphs[FUSE], "carry", carry)

    with pytest.raises(BundleError, match=r"graph 'fuse' carries to \[.*\], graph 'key' to \['key_state', 'reference_state'\]"):
        Model(bundle, _opener(bundle, graphs.answer), Choice("fake", "as asked"))


def test_memory_is_flat(tmp_path: Path) -> None:
    """Over 2,000 key frames nothing piles up: of what frames carry only the newest is held."""
    bundle = read_bundle(tiny_bundle(tmp_path / "b", fuse=True))

    def answer(_: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in bundle.graphs[FUSE].outputs}

    frame, sizes = Frame(np.zeros((8, 8, 3), np.uint8)), []
    with Pipeline(Model(bundle, _opener(bundle, answer), Choice("fake", "as asked"))) as pipeline:
        tracemalloc.start()
        for _ in range(4):
            for _ in range(500):
                pipeline.step(frame)
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()

    # 1,500 tensors, of which even the smallest takes a hundred bytes, would be 150 kB.
    assert max(sizes) - sizes[0] < 20_000
