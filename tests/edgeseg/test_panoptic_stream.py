"""Panoptic maps in a stream: ids, frames between key frames, overlapped key frames and schedules, on made-up maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg import forward
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import read_bundle
from edgeseg.candidates import Candidates
from edgeseg.errors import UsageError
from edgeseg.families import Decoded
from edgeseg.families.base import KEY
from edgeseg.geometry import Fit
from edgeseg.model import Model
from edgeseg.motion.align import Alignment
from edgeseg.pipeline import Pipeline, StreamSettings
from edgeseg.regions import things_of
from edgeseg.track import EmbeddingTracker, Tracker
from edgeseg.types import AnyArray, Frame, Panoptic, Result, Segment, Step
from tests.bundles import tiny_bundle

SIDE, SQUARE = 128, 28
SKY, SEA, CAR = 0, 1, 2


def _corners(number: int) -> list[tuple[int, int]]:
    """x and y of the top left corners of two squares, which go apart by 2 pixels a frame."""
    return [(50 + 2 * number, 20), (50 - 2 * number, 80)]


def _picture(number: int) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3), smooth, with the squares; the first pixels tell the number."""
    pixels = _cloudy(0, SIDE)
    for seed, (x, y) in enumerate(_corners(number), 1):
        pixels[y : y + SQUARE, x : x + SQUARE] = _cloudy(seed, SQUARE)
    pixels[:2, :2] = number
    return pixels


def _cloudy(seed: int, side: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (side // 5, side // 5, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def _frames(count: int, start: int = 0) -> list[Frame]:
    return [Frame(_picture(index), index) for index in range(start, start + count)]


class Maps:
    """In place of a family: a map of two squares on sky and sea. The first square scores best on even frames, the other on odd ones."""

    outputs: tuple[str, ...] = ()

    def __init__(self, embeddings: bool, score: float) -> None:
        self.embeddings, self.score = embeddings, score

    def decode(self, outputs: Mapping[str, AnyArray], fit: Fit, score_threshold: float) -> Decoded:  # noqa: ARG002  the protocol's
        number = int(outputs["scores"][0])
        ids = np.full((SIDE, SIDE), 1, np.int32)
        ids[64:] = 2
        order = [0, 1] if number % 2 == 0 else [1, 0]
        corners = [_corners(number)[k] for k in order]
        for slot, (x, y) in enumerate(corners):
            ids[y : y + SQUARE, x : x + SQUARE] = 4 + slot
        ids = cv2.resize(ids.astype(np.float32), fit.image_hw[::-1], interpolation=cv2.INTER_NEAREST).astype(np.int32)
        scores = [self.score, self.score - 0.1]
        things = [Segment(4 + slot, CAR, True, scores[slot], int((ids == 4 + slot).sum())) for slot in range(2)]
        stuff = [Segment(k + 1, k, False, 1.0, int((ids == k + 1).sum())) for k in (SKY, SEA)]
        panoptic = Panoptic(ids, (*things, *stuff))
        candidates = Candidates(
            boxes=np.array([(x, y, x + SQUARE, y + SQUARE) for x, y in corners], np.float32),
            scores=np.array(scores, np.float32),
            classes=np.full(2, CAR),
            embeddings=20 * np.eye(2, dtype=np.float32)[order] if self.embeddings else None,
            kept=np.arange(2),
            rows=np.arange(2),
        )
        return Decoded(things_of(panoptic), panoptic, candidates)


@pytest.fixture
def open_model(tmp_path: Path) -> Callable[..., Model]:
    """``open_model(embeddings=True, score=0.9)``: a model whose decoding is made up."""

    def open_it(embeddings: bool = False, score: float = 0.9) -> Model:
        bundle = read_bundle(tiny_bundle(tmp_path / f"b{embeddings}", labels=3, size=SIDE))
        zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in bundle.graphs[KEY].outputs}

        def answer(feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
            return zeros | {"scores": np.full_like(zeros["scores"], feeds["image"][0, 0, 0, 0])}

        file, graph = bundle.file(KEY, "fp32"), bundle.graphs[KEY]
        model = Model(bundle, lambda _: Fake(answer).open(file, graph, "fp32", None), Choice("fake", "as asked"), clock=lambda: 0.0)
        model._family = Maps(embeddings, score)
        return model

    return open_it


def _run(model: Model, frames: list[Frame], **settings: Any) -> list[Result]:
    results = []
    with Pipeline(model, StreamSettings(**settings)) as pipeline:
        for frame in frames:
            results.append(pipeline.step(frame))
            pipeline.settle()
    return results


def _require_one_truth(result: Result) -> None:
    """Instances are the map's things, in its order, with their ids and regions; things come first, best first."""
    found, panoptic = result.instances, result.panoptic
    things = [segment for segment in panoptic.segments if segment.is_thing]
    assert list(panoptic.segments[: len(things)]) == things
    assert found.scores.tolist() == pytest.approx(sorted((segment.score for segment in things), reverse=True))
    assert found.classes.tolist() == [segment.class_id for segment in things]
    assert found.track_ids.tolist() == [-1 if segment.track_id is None else segment.track_id for segment in things]
    for i, segment in enumerate(things):
        assert np.array_equal(found.masks.paste(i), panoptic.ids == segment.id)
    assert {segment.id: segment.area for segment in panoptic.segments} == {
        number: int((panoptic.ids == number).sum()) for number in np.unique(panoptic.ids).tolist() if number
    }


STREAMS = [{}, {"schedule": "fixed:4"}, {"overlap": True}, {"schedule": "fixed:3", "overlap": True}]


@pytest.mark.parametrize("settings", STREAMS)
@pytest.mark.parametrize("embeddings", [False, True])
def test_a_thing_keeps_its_id_in_the_map(open_model: Callable[..., Model], embeddings: bool, settings: dict[str, Any]) -> None:
    """On key frames and between, by whichever tracker; a graph may number and rank it otherwise every time. Stuff has none."""
    results = _run(open_model(embeddings), _frames(9), track=True, **settings)

    ids: list[set[int]] = [set(), set()]
    for number, result in enumerate(results):
        _require_one_truth(result)
        assert [s.track_id for s in result.panoptic.segments if not s.is_thing] == [None, None]
        for k, (x, y) in enumerate(_corners(number)):
            middle = result.panoptic.ids[y + SQUARE // 2, x + SQUARE // 2]
            ids[k] |= {s.track_id for s in result.panoptic.segments if s.id == middle}
    assert sorted(map(len, ids)) == [1, 1]
    assert ids[0] | ids[1] == {0, 1}


@pytest.mark.parametrize("settings", [{"schedule": "fixed:5"}, {"overlap": True}])
def test_the_map_alone_is_moved(open_model: Callable[..., Model], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances between key frames are read from it and not moved beside it, and lie where the squares are."""
    monkeypatch.setattr(forward, "propagate", None)

    results = _run(open_model(), _frames(5), **settings)

    assert [result.step for result in results] == [Step.KEY] + [Step.PROPAGATE] * 4
    for number, result in enumerate(results):
        _require_one_truth(result)
        truth = np.zeros((2, SIDE, SIDE), bool)
        for k, (x, y) in enumerate(_corners(number)):
            truth[k, y : y + SQUARE, x : x + SQUARE] = True
        masks = [result.instances.masks.paste(i) for i in range(2)]
        assert min(max((mask & one).sum() / (mask | one).sum() for mask in masks) for one in truth) > 0.75


def test_scores_fall_between_key_frames(open_model: Callable[..., Model]) -> None:
    """So that schedules see how sure a moved map is; what is no longer above the threshold leaves it."""
    results = _run(open_model(score=0.402), _frames(4), schedule="fixed:9")

    means = [result.instances.scores[0] for result in results]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 0.99 * means[0]
    assert [len(result.instances) for result in results] == [2, 2, 1, 1]
    assert all((result.panoptic.ids > 0).all() for result in results)


def test_a_track_head_needs_no_other_tracker(open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids come from the embeddings of every key frame, once each; frames between take them along."""
    seen: list[int] = []
    update = EmbeddingTracker.update
    monkeypatch.setattr(EmbeddingTracker, "update", lambda self, candidates: seen.append(len(candidates)) or update(self, candidates))
    monkeypatch.setattr(Tracker, "update", None)
    monkeypatch.setattr(Tracker, "follow", None)

    _run(open_model(True), _frames(7), track=True, schedule="fixed:3")
    assert seen == [2, 2, 2]
    _run(open_model(True), _frames(4), track=True, overlap=True)
    assert seen == [2] * 6


def test_an_overlapped_map_comes_forward_little_by_little(open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done of the way beforehand, with the ids that it had by then, is not done again at the take-over."""
    advanced: list[Alignment] = []
    advance = Alignment.advance
    monkeypatch.setattr(Alignment, "advance", lambda alignment, motion: advanced.append(alignment) or advance(alignment, motion))
    model = open_model(True)
    with Pipeline(model, StreamSettings(overlap=True, track=True)) as pipeline:
        frames = iter(_frames(10))
        pipeline.step(next(frames))
        pipeline.step(next(frames))
        pipeline._worker.settle()
        take, pipeline._worker.take = pipeline._worker.take, lambda: None
        for _ in range(4):
            pipeline.step(next(frames))
        pipeline._worker.take = take
        followed = []
        for frame in frames:
            advanced.clear()
            _require_one_truth(pipeline.step(frame))
            followed.append(len(advanced))
            pipeline.settle()

    # The key frame is five behind: two steps a frame, beside one of the map that is shown until it takes over.
    assert followed == [3, 3, 3, 2]


@pytest.mark.parametrize("schedule", ["every", "fixed:3", "adaptive", "deadline:33ms"])
@pytest.mark.parametrize("settings", [{}, {"overlap": True}, {"track": True}, {"track": True, "overlap": True}])
@pytest.mark.parametrize("embeddings", [False, True])
def test_schedules_work(open_model: Callable[..., Model], schedule: str, settings: dict[str, Any], embeddings: bool) -> None:
    """With black frames and a scene cut; every frame that is not dropped has one truth."""
    black = [Frame(np.zeros((SIDE, SIDE, 3), np.uint8), index) for index in range(4, 6)]

    for result in _run(open_model(embeddings), [*_frames(4), *black, *_frames(2, 6)], schedule=schedule, **settings):
        if result.step is not Step.DROP:
            _require_one_truth(result)


def test_maps_are_not_smoothed(open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks must be regions of the map; the error says what to leave out, before any frame is read."""
    monkeypatch.setattr(Model, "gives_panoptic", property(lambda _: True))

    with pytest.raises(UsageError, match=r"are regions of a panoptic map.* Leave --smooth out"):
        Pipeline(open_model(), StreamSettings(track=True, smooth=True))


@pytest.mark.parametrize("track", [False, True])
def test_a_track_head_is_enough_to_be_faithful(open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, track: bool) -> None:
    """Where ids are asked for: then there is something to restore without a graph that fuses."""
    monkeypatch.setattr(Model, "gives_embeddings", property(lambda _: True))
    frames, model = _frames(2), open_model(True)
    if track:
        assert [len(result.instances) for result in _run(model, frames, track=True, faithful=True)] == [2, 2]
    else:
        with pytest.raises(UsageError, match="nothing that --faithful would restore"):
            _run(model, frames, faithful=True)


def test_another_picture_size_starts_anew(open_model: Callable[..., Model]) -> None:
    """With a map of that size and new ids."""
    small = [Frame(cv2.resize(frame.pixels, (SIDE // 2, SIDE // 2)), frame.index) for frame in _frames(2, 4)]
    for embeddings in (False, True):
        results = _run(open_model(embeddings), [*_frames(2), *small], track=True, schedule="fixed:9")

        assert [result.panoptic.ids.shape for result in results] == [(SIDE, SIDE)] * 2 + [(SIDE // 2, SIDE // 2)] * 2
        assert not set(results[0].instances.track_ids.tolist()) & set(results[-1].instances.track_ids.tolist())
