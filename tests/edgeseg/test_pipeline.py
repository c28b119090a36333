"""One stream: which step each frame gets, what later frames rest on, and what happens when things change or fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgeseg
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import read_bundle
from edgeseg.errors import BackendError, SourceError, UsageError
from edgeseg.families import panoptic
from edgeseg.families.base import KEY
from edgeseg.model import Model
from edgeseg.motion.align import Alignment
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.schedule import Policy
from edgeseg.sources.synthetic import Scene, SceneConfig
from edgeseg.types import Frame, Step, Tick
from tests.bundles import OUTPUTS, Found, tiny_bundle, tiny_expected
from tests.edgeseg.made_up_graphs import Graphs

HW = (72, 128)


@pytest.fixture(params=OUTPUTS)
def graphs(request: pytest.FixtureRequest) -> Graphs:
    """What answers in place of graphs, of every family."""
    return Graphs(request.param)


@pytest.fixture
def open_model(tmp_path: Path, graphs: Graphs) -> Callable[..., Model]:
    """``open_model(warp=True)``: a model whose graphs are made up."""

    def open_it(warp: bool = True, fit: str = "stretch", score_threshold: float = 0.3, fuse: bool = False) -> Model:
        bundle = read_bundle(tiny_bundle(tmp_path / f"b{warp}", family=graphs.family, warp=warp, fit=fit, fuse=fuse))

        def session(name: str) -> Any:
            return Fake(graphs.answer).open(bundle.file(name, "fp32"), bundle.graphs[name], "fp32", None)

        return Model(bundle, session, Choice("fake", "as asked"), score_threshold, clock=graphs.clock)

    return open_it


def _settings(graphs: Graphs, schedule: str, **settings: Any) -> StreamSettings:
    """Settings for a family: maps cannot be smoothed."""
    return StreamSettings(schedule, **settings | {"smooth": settings.get("smooth", False) and graphs.family != panoptic.NAME})


def _frames(count: int, hw: tuple[int, int] = HW, start: int = 0) -> list[Frame]:
    """A textured picture whose first pixel tells the frame's number; captured at 100 s."""
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, 3), np.uint8)
    pictures = []
    for index in range(start, start + count):
        pixels = pixels.copy()
        pixels[:2, :2] = index
        pictures.append(Frame(pixels, index, captured_s=100.0, time_s=index / 30))
    return pictures


def _cloudy(seed: int, side: int) -> np.ndarray:
    """uint8 (side, side, 3): smooth, so that its motion can be seen."""
    coarse = np.random.default_rng(seed).integers(0, 256, (side // 5, side // 5, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def _steps(pipeline: Pipeline, frames: list[Frame]) -> list[tuple[Step, int]]:
    results = [pipeline.step(frame) for frame in frames]
    assert [result.frame_index for result in results] == [frame.index for frame in frames]
    return [(result.step, result.since_key) for result in results]


@pytest.mark.parametrize(("between", "step"), [("auto", Step.WARP), ("warp", Step.WARP), ("propagate", Step.PROPAGATE)])
def test_fixed_intervals(open_model: Callable[..., Model], between: str, step: Step) -> None:
    """Every third frame is a key frame, the others get what was asked for; the light graph is the default where there is one."""
    with Pipeline(open_model(), StreamSettings("fixed:3", between)) as pipeline:
        assert _steps(pipeline, _frames(7)) == [(Step.KEY, 0), (step, 1), (step, 2)] * 2 + [(Step.KEY, 0)]


def test_a_model_with_a_key_graph_only_propagates(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """Any model gets video speed: no graph runs between key frames, and what was found stays where nothing moves."""
    with Pipeline(open_model(warp=False), StreamSettings("fixed:4")) as pipeline:
        results = [pipeline.step(frame) for frame in _frames(4)]

    assert graphs.runs == [KEY]
    assert [result.step for result in results] == [Step.KEY] + [Step.PROPAGATE] * 3
    for result in results[1:]:
        np.testing.assert_allclose(result.instances.boxes, results[0].instances.boxes, atol=4)
        assert result.instances.classes.tolist() == results[0].instances.classes.tolist()
        assert np.all(result.instances.scores <= results[0].instances.scores)


def test_warped_frames_rest_on_the_last_key_frame(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """The light graph is fed what the newest key frame left, unchanged until the next."""
    with Pipeline(open_model(), StreamSettings("fixed:3")) as pipeline:
        _steps(pipeline, _frames(8))

    assert graphs.states == [0, 0, 3, 3, 6]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_real_backends_carry(tmp_path: Path, backend: str) -> None:
    """Two graphs joined by what one leaves for the other."""
    with edgeseg.load(tiny_bundle(tmp_path / "b", warp=True), backend=backend, threads=1) as model:
        results = [result for _, result in edgeseg.stream(model, "synthetic:frames=4,size=64x48", schedule="fixed:3")]

    assert [(result.step, len(result.instances)) for result in results] == [(Step.KEY, 2), (Step.WARP, 2), (Step.WARP, 2), (Step.KEY, 2)]


def test_the_schedule_is_told_what_there_is_to_know(open_model: Callable[..., Model]) -> None:
    """Age when it is asked, distance to the key frame, what steps took lately, and that nothing moved."""
    ticks: list[Tick] = []
    steps = iter([Step.WARP, Step.WARP, Step.KEY])
    policy = Policy(lambda tick: ticks.append(tick) or next(steps), watches=True)
    with Pipeline(open_model(), StreamSettings(policy)) as pipeline:
        _steps(pipeline, _frames(4))

    assert [(tick.frame_index, tick.since_key, tick.age_s, tick.between) for tick in ticks] == [
        (1, 1, 10.0, Step.WARP),
        (2, 2, 12.0, Step.WARP),
        (3, 3, 14.0, Step.WARP),
    ]
    assert [tick.costs_s for tick in ticks] == [{Step.KEY: 10.0}, *[{Step.KEY: 10.0, Step.WARP: 2.0}] * 2]
    assert all(tick.shift < 0.01 and tick.unexplained < 0.05 and tick.confidence == 1.0 for tick in ticks)


def test_a_slow_first_run_does_not_stay_the_estimate(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """Backends finish their preparation in it."""
    costs: list[Mapping[Step, float]] = []
    policy = Policy(lambda tick: costs.append(tick.costs_s) or Step.KEY)
    with Pipeline(open_model(), StreamSettings(policy)) as pipeline:
        graphs.run_s[KEY] = 50.0
        pipeline.step(_frames(1)[0])
        graphs.run_s[KEY] = 1.0
        _steps(pipeline, _frames(2, start=1))

    assert costs == [{Step.KEY: 50.0}, {Step.KEY: 1.0}]


def test_a_dropped_frame_is_an_empty_result(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """Nothing runs, and later frames rest on what was before."""
    steps = iter([Step.DROP, Step.PROPAGATE])
    policy = Policy(lambda _: next(steps), watches=True)
    with Pipeline(open_model(), StreamSettings(policy)) as pipeline:
        key, dropped, moved = (pipeline.step(frame) for frame in _frames(3))

    assert (dropped.step, dropped.instances, dropped.since_key, dropped.to_json()["instances"]) == (Step.DROP, None, 1, [])
    assert (len(moved.instances), moved.since_key, graphs.runs) == (len(key.instances), 2, [KEY])


@pytest.mark.parametrize(("hw", "reconnects"), [((60, 90), 0), (HW, 1)])
def test_another_picture_size_or_connection_starts_anew(
    open_model: Callable[..., Model], graphs: Graphs, hw: tuple[int, int], reconnects: int
) -> None:
    """With a key frame, whatever the schedule says."""
    frames = [*_frames(3), *(replace(frame, reconnects=reconnects) for frame in _frames(3, hw, 3))]
    with Pipeline(open_model(), _settings(graphs, "fixed:9", track=True, smooth=True)) as pipeline:
        results = [pipeline.step(frame) for frame in frames]

    assert [result.step for result in results] == ([Step.KEY] + [Step.WARP] * 2) * 2
    assert [(result.instances.image_hw, result.reconnects) for result in results] == [(HW, 0)] * 3 + [(hw, reconnects)] * 3
    ids = [set(result.instances.track_ids.tolist()) - {-1} for result in results]
    assert ids[2]
    assert ids[5]
    assert not ids[2] & ids[5]


@pytest.mark.parametrize("settings", [{}, {"overlap": True}, {"track": True}])
def test_another_shape_stops_a_bundle_for_one_shape(open_model: Callable[..., Model], settings: dict[str, Any]) -> None:
    """In a stream that changes: the frames before have their results, other sizes of the same shape go on."""
    with Pipeline(open_model(warp=False, fit="same_shape"), StreamSettings("fixed:3", **settings)) as pipeline:
        _steps(pipeline, [*_frames(4, (64, 64)), *_frames(4, (96, 96), 4)])
        with pytest.raises(SourceError, match=r"frame 8 cannot be segmented: its 60x90 pixels"):
            pipeline.step(_frames(1, (60, 90), 8)[0])


@pytest.mark.parametrize("settings", [{}, {"track": True}, {"track": True, "smooth": True}, {"overlap": True, "track": True}])
def test_what_was_found_moves_with_the_picture(open_model: Callable[..., Model], graphs: Graphs, settings: dict[str, Any]) -> None:
    """A square that goes right by 2 pixels a frame is followed for four frames by its box and mask, and keeps its id."""
    graphs.found = lambda index: (Found(0, 0.9, ((40 + 2 * index) / 8, 5, (72 + 2 * index) / 8, 9)),)
    ground, square = _cloudy(0, 128), _cloudy(1, 32)
    frames = [Frame(ground.copy(), index) for index in range(10)]
    for frame in frames:
        frame.pixels[:2, :2] = frame.index
        frame.pixels[40:72, 40 + 2 * frame.index : 72 + 2 * frame.index] = square
    results = []
    with Pipeline(open_model(warp=False), _settings(graphs, "fixed:5", **settings)) as pipeline:
        for frame in frames:
            results.append(pipeline.step(frame))
            pipeline.settle()

    ids = {tuple(result.instances.track_ids.tolist()) for result in results}
    assert len(ids) == 1
    assert (ids == {(-1,)}) == ("track" not in settings)
    for k, result in enumerate(results):
        wanted = tiny_expected((128, 128), found=graphs.found(k), family=graphs.family)[0]
        mask = result.instances.masks.paste(0)
        np.testing.assert_allclose(result.instances.boxes[0], wanted.box, atol=2)
        # Coarse masks reach beyond the square on key frames; propagation drops what does not move with it.
        assert mask[40:72, 40 + 2 * k : 72 + 2 * k].mean() > 0.9
        assert (mask & ~wanted.mask).sum() < 0.1 * mask.sum()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"between": "warp"}, "has no graph for warped frames. Use --between propagate, or export a video model"),
        ({"between": "both"}, "between must be one of auto, warp, propagate, got 'both'"),
        ({"smooth": True}, r"switch tracking on as well \(--track\)"),
        ({"faithful": True, "track": True}, "has nothing that --faithful would restore: it is for panoptic video models"),
        ({"schedule": "sometimes"}, "there is no schedule 'sometimes'"),
    ],
)
def test_settings_that_cannot_work_are_refused(open_model: Callable[..., Model], settings: dict[str, Any], message: str) -> None:
    """Before any frame is read."""
    with pytest.raises(UsageError, match=message):
        Pipeline(open_model(warp=False), StreamSettings(**settings))


def test_a_policy_that_propagates_must_say_that_it_watches(open_model: Callable[..., Model]) -> None:
    """Otherwise there is no flow to propagate along."""
    policy = Policy(lambda _: Step.PROPAGATE)
    with Pipeline(open_model(), StreamSettings(policy)) as pipeline, pytest.raises(UsageError, match="watches=True"):
        _steps(pipeline, _frames(2))


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """What a test starts must have ended."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.usefixtures("no_thread_left")
def test_overlapped_key_frames_hold_nobody_up(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """Frames go on while one is in flight; when it is ready, later frames rest on it."""
    frames = _frames(8)
    with Pipeline(open_model(), StreamSettings("every", overlap=True)) as pipeline:
        assert _steps(pipeline, frames[:1]) == [(Step.KEY, 0)]
        graphs.gate.clear()
        assert _steps(pipeline, frames[1:3]) == [(Step.PROPAGATE, 1), (Step.PROPAGATE, 2)]
        assert graphs.runs == [KEY]
        graphs.gate.set()
        pipeline.settle()
        # Frame 1 was submitted, frame 3 submits itself after the take-over.
        assert _steps(pipeline, frames[3:4]) == [(Step.PROPAGATE, 2)]
        pipeline.settle()
        assert _steps(pipeline, frames[4:5]) == [(Step.PROPAGATE, 1)]

    assert any(name.startswith("edgeseg-key") for name in graphs.threads)


@pytest.mark.usefixtures("no_thread_left")
def test_a_key_frame_that_was_long_in_flight_comes_forward_little_by_little(
    open_model: Callable[..., Model], graphs: Graphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No frame does more than a few frames' worth of following; the one before serves until the newest frame is reached."""
    advanced: list[int] = []
    advance = Alignment.advance
    monkeypatch.setattr(Alignment, "advance", lambda alignment, motion: advanced.append(id(alignment)) or advance(alignment, motion))
    frames = _frames(20)
    with Pipeline(open_model(), StreamSettings("every", overlap=True)) as pipeline:
        _steps(pipeline, frames[:1])
        graphs.gate.clear()
        _steps(pipeline, frames[1:7])
        graphs.gate.set()
        pipeline.settle()
        followed, since_key = [], []
        for frame in frames[7:13]:
            advanced.clear()
            since_key.append(pipeline.step(frame).since_key)
            followed.append(len(advanced))
            pipeline.settle()

    # One step of the shown result, and two of the one from frame 1: it is six behind at first, and each frame adds one.
    assert followed == [3, 3, 3, 3, 2, 3]
    assert since_key == [7, 8, 9, 10, 10, 11]


@pytest.mark.usefixtures("no_thread_left")
def test_an_overlapped_key_frame_that_found_nothing_takes_over(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """There is nothing to bring forward."""
    frames = _frames(8)
    with Pipeline(open_model(score_threshold=1.0), _settings(graphs, "every", overlap=True, track=True, smooth=True)) as pipeline:
        _steps(pipeline, frames[:1])
        graphs.gate.clear()
        _steps(pipeline, frames[1:5])
        graphs.gate.set()
        pipeline.settle()
        assert _steps(pipeline, frames[5:6]) == [(Step.PROPAGATE, 4)]


@pytest.mark.usefixtures("no_thread_left")
def test_overlapped_key_frames_feed_the_light_graph(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """Warped frames use the newest key frame that is ready."""
    frames = _frames(4)
    with Pipeline(open_model(), StreamSettings("every", "warp", overlap=True)) as pipeline:
        pipeline.step(frames[0])
        pipeline.step(frames[1])
        pipeline.settle()
        result = pipeline.step(frames[2])

    assert (result.step, result.since_key, graphs.states[-1]) == (Step.WARP, 1, 1.0)


@pytest.mark.usefixtures("no_thread_left")
def test_a_failing_worker_stops_the_run_with_its_error(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """On the next frame, not silently never."""
    frames = _frames(3)
    with Pipeline(open_model(), StreamSettings("every", overlap=True)) as pipeline:
        pipeline.step(frames[0])
        graphs.error = BackendError("the device is gone")
        pipeline.step(frames[1])
        pipeline.settle()
        with pytest.raises(BackendError, match="the device is gone"):
            pipeline.step(frames[2])


@pytest.mark.usefixtures("no_thread_left")
def test_a_stream_may_end_with_a_key_frame_in_flight(open_model: Callable[..., Model], graphs: Graphs) -> None:
    """Closing waits for it, so that the model can be closed next; twice is fine."""
    frames = _frames(2)
    pipeline = Pipeline(open_model(), StreamSettings("every", overlap=True))
    pipeline.step(frames[0])
    graphs.gate.clear()
    pipeline.step(frames[1])
    threading.Timer(0.05, graphs.gate.set).start()
    pipeline.close()
    pipeline.close()

    assert graphs.runs == [KEY, KEY]


@pytest.mark.usefixtures("no_thread_left")
def test_a_key_frame_of_another_size_is_not_used(open_model: Callable[..., Model]) -> None:
    """The size may change while one is in flight."""
    with Pipeline(open_model(), StreamSettings("every", overlap=True)) as pipeline:
        _steps(pipeline, _frames(2))
        assert _steps(pipeline, _frames(2, (60, 90), 2)) == [(Step.KEY, 0), (Step.PROPAGATE, 1)]


@pytest.fixture(scope="module")
def scenes() -> list[list[np.ndarray]]:
    """Four pictures each of two scenes."""
    return [[Scene(SceneConfig(seed=900_000 + seed, size_hw=HW)).render(index) for index in range(4)] for seed in (1, 2)]


def test_nothing_is_propagated_over_a_scene_cut(open_model: Callable[..., Model], scenes: list[list[np.ndarray]]) -> None:
    """A fixed schedule shows nothing until its next key frame; an adaptive one makes that frame a key frame."""
    frames = [Frame(pixels, index) for index, pixels in enumerate([*scenes[0], *scenes[1]])]
    with Pipeline(open_model(warp=False), StreamSettings("fixed:8")) as pipeline:
        counts = [len(pipeline.step(frame).instances) for frame in frames]
    with Pipeline(open_model(warp=False), StreamSettings("adaptive")) as pipeline:
        steps = [pipeline.step(frame).step for frame in frames]

    assert counts[3] > 0
    assert counts[4:] == [0] * 4
    assert steps[4] is Step.KEY


@pytest.mark.parametrize("schedule", ["every", "fixed:3", "adaptive", "deadline:33ms"])
@pytest.mark.parametrize("settings", [{}, {"overlap": True}, {"track": True}, {"track": True, "smooth": True, "overlap": True}])
def test_black_and_repeated_frames_are_no_exception(
    open_model: Callable[..., Model], graphs: Graphs, schedule: str, settings: dict[str, Any]
) -> None:
    """Every frame gets a result, in order; ids are never shared within a frame."""
    black, other = np.zeros((*HW, 3), np.uint8), _frames(1)[0].pixels
    frames = [Frame(pixels, index) for index, pixels in enumerate([black] * 4 + [other] * 4 + [black] * 2)]
    with Pipeline(open_model(warp=False), _settings(graphs, schedule, **settings)) as pipeline:
        results = [pipeline.step(frame) for frame in frames]

    assert [result.frame_index for result in results] == list(range(10))
    for result in results:
        ids = [] if result.instances is None else [i for i in result.instances.track_ids.tolist() if i >= 0]
        assert len(ids) == len(set(ids))
