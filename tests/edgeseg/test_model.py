"""The model: from a bundle on disk to results, with pictures of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.backends import Choice
from edgeseg.backends.fake import Fake
from edgeseg.bundle import read_bundle
from edgeseg.errors import BackendError, BundleError, SourceError, UsageError
from edgeseg.families.base import IMAGE, KEY
from edgeseg.model import Model
from edgeseg.types import AnyArray, Frame, Instances, Step
from tests.bundles import OUTPUTS, tiny_bundle, tiny_expected


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _fake_model(folder: Path, answer: Any = None, **options: Any) -> Model:
    """A model on the tiny bundle in ``folder``, whose graphs ``answer`` stands in for."""
    bundle = read_bundle(tiny_bundle(folder / "b"))
    opened = {name: Fake(answer).open(bundle.file(name, "fp32"), graph, "fp32", None) for name, graph in bundle.graphs.items()}
    return Model(bundle, opened.__getitem__, Choice("fake", "as asked"), **options)


def _require_expected(found: Instances | None, image_hw: tuple[int, int], score: float, family: str = "yolact") -> None:
    wanted = tiny_expected(image_hw, score=score, family=family)
    assert found is not None
    assert found.classes.tolist() == [entry.class_id for entry in wanted]
    assert found.boxes.tolist() == [list(entry.box) for entry in wanted]
    np.testing.assert_allclose(found.scores, [entry.score for entry in wanted], rtol=1e-6)
    for i, entry in enumerate(wanted):
        assert np.array_equal(found.masks.paste(i), entry.mask)


@pytest.mark.parametrize("image_hw", [(64, 64), (97, 131), (480, 640), (1, 1), (1, 300)])
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("family", OUTPUTS)
def test_a_picture_gives_the_instances_of_the_graph(tmp_path: Path, family: str, backend: str, image_hw: tuple[int, int]) -> None:
    """Classes, scores, boxes and masks in image pixels, whatever the family and the picture's size."""
    with edgeseg.load(tiny_bundle(tmp_path / "b", family=family), backend=backend, threads=1, score_threshold=0.1) as model:
        result = model(_picture(*image_hw))

    assert (result.frame_index, result.step, result.image_hw, result.since_key) == (0, Step.KEY, image_hw, 0)
    assert [label.name for label in result.labels] == ["thing_0", "thing_1"]
    _require_expected(result.instances, image_hw, 0.1, family)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_both_input_dtypes_work(tmp_path: Path, dtype: str) -> None:
    """The picture is brought to the dtype that the bundle declares."""
    with edgeseg.load(tiny_bundle(tmp_path / "b", input_dtype=dtype), backend="onnxruntime", threads=1) as model:
        _require_expected(model(_picture(48, 80)).instances, (48, 80), 0.3)


@pytest.mark.parametrize(("score", "count"), [(0.0, 3), (0.19, 3), (0.2, 2), (0.59, 2), (0.6, 1), (0.9, 0), (1.0, 0)])
def test_the_threshold_is_strict(tmp_path: Path, score: float, count: int) -> None:
    """An instance must score above it; rows without a detection never count."""
    with edgeseg.load(tiny_bundle(tmp_path / "b"), backend="onnxruntime", threads=1, score_threshold=score) as model:
        assert len(model(_picture(32, 32)).instances) == count


def test_a_picture_without_detections_is_a_result_without_instances(tmp_path: Path) -> None:
    """Empty columns of the right shapes, empty in every form of output."""
    with edgeseg.load(tiny_bundle(tmp_path / "b", found=()), backend="onnxruntime", threads=1) as model:
        result = model(_picture(30, 40))

    assert (len(result.instances), result.instances.boxes.shape, result.to_json()["instances"]) == (0, (0, 4), [])


def test_mask_scores_are_the_score_times_the_predicted_iou(tmp_path: Path) -> None:
    """From graphs that give mask_iou; None from those that do not."""
    with edgeseg.load(tiny_bundle(tmp_path / "b", mask_iou=True), backend="onnxruntime", threads=1) as model:
        found = model(_picture(32, 32)).instances

    np.testing.assert_allclose(found.mask_scores, [0.45, 0.45], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.9, 0.6], rtol=1e-6)


def test_a_class_outside_the_labels_is_a_damaged_bundle(tmp_path: Path) -> None:
    """A graph that names class 1 of one label is not shown under a wrong name."""
    message = r"names 1 labels but its graph gave another class\. Export the model again"

    with edgeseg.load(tiny_bundle(tmp_path / "b", labels=1), backend="onnxruntime") as model, pytest.raises(BundleError, match=message):
        model(_picture(32, 32))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8), [[1, 2]]],
    ids=["grey", "alpha", "float", "empty", "list"],
)
def test_what_is_no_bgr_picture_is_refused(tmp_path: Path, pixels: Any) -> None:
    """Callers of the Python API are told what a picture is."""
    with edgeseg.load(tiny_bundle(tmp_path / "b"), backend="fake") as model, pytest.raises(ValueError, match="in BGR order, got"):
        model(pixels)


def test_a_frames_own_numbers_reach_the_result(tmp_path: Path) -> None:
    """Index and time of the frame, age by the model's clock, stages in order."""
    moments = iter([10.0, 11.0, 13.0, 16.0, 17.0])
    model = _fake_model(tmp_path, clock=lambda: next(moments))
    frame = Frame(_picture(8, 8), index=5, captured_s=9.0, time_s=0.25)

    found = model.key(frame)
    result = model.result(frame, Step.KEY, found.decoded, found.spans, since_key=3)

    assert (result.frame_index, result.time_s, result.age_s, result.since_key) == (5, 0.25, 8.0, 3)
    assert list(result.spans.items()) == [("prepare", 1.0), ("infer", 2.0), ("decode", 3.0)]


def test_the_graph_sees_the_resized_picture(tmp_path: Path) -> None:
    """The feed is the picture at network size, NHWC in BGR order, untouched when it fits."""
    seen: list[AnyArray] = []
    bundle = read_bundle(tiny_bundle(tmp_path / "b"))

    def answer(feeds: Any) -> dict[str, AnyArray]:
        seen.append(feeds[IMAGE])
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in bundle.graphs[KEY].outputs}

    picture = _picture(64, 64)
    _fake_model(tmp_path, answer)(picture)

    assert np.array_equal(seen[0], picture[None])


def test_results_do_not_change_with_later_pictures(tmp_path: Path) -> None:
    """Masks of an earlier result stay what they were."""
    with edgeseg.load(tiny_bundle(tmp_path / "b"), backend="openvino", threads=1, score_threshold=0.1) as model:
        first = model(_picture(64, 64))
        model(_picture(200, 100))

    _require_expected(first.instances, (64, 64), 0.1)


def test_a_closed_model_says_so(tmp_path: Path) -> None:
    """After its block, or after closing twice, it runs no more."""
    with edgeseg.load(tiny_bundle(tmp_path / "b"), backend="fake") as model:
        assert model.runs_on
    model.close()

    with pytest.raises(BackendError, match="closed"):
        model(_picture(8, 8))


def test_a_model_that_cannot_be_made_opens_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays open behind an error."""
    opened: list[str] = []
    monkeypatch.setattr(Fake, "open", lambda *_: opened.append("session"))

    with pytest.raises(UsageError):
        edgeseg.load(tiny_bundle(tmp_path / "b"), backend="fake", score_threshold=-1)
    assert opened == []


def test_an_image_model_does_not_warp(tmp_path: Path) -> None:
    """It says which graph is missing and what can be done instead."""
    model, frame = _fake_model(tmp_path), Frame(_picture(8, 8))

    assert not model.can_warp
    with pytest.raises(BackendError, match="has no graph 'warp': its frames cannot be warped, only propagated"):
        model.warp(frame, model.key(frame).carry)


def test_the_choice_of_backend_is_told(tmp_path: Path) -> None:
    """What was chosen, why, and where it runs."""
    with edgeseg.load(tiny_bundle(tmp_path / "b"), backend="onnxruntime", threads=1) as model:
        assert (model.choice, model.runs_on) == (Choice("onnxruntime", "as asked"), "CPU, fp32, 1 threads")


def test_a_frame_of_another_shape_is_refused_by_its_name(tmp_path: Path) -> None:
    """With its number, the picture's name from a folder, and what to do. A good frame works after it."""
    bundle = tiny_bundle(tmp_path / "b", family="maskrcnn", fit="same_shape")

    with edgeseg.load(bundle, backend="fake") as model:
        with pytest.raises(
            SourceError, match=r"frame 3 \(b\.png\) cannot be segmented: its 30x40 pixels.*64x64.*--frame 30x40,.*letterbox"
        ):
            model.key(Frame(_picture(30, 40), index=3, stream="b.png"))
        assert model(_picture(40, 40)).image_hw == (40, 40)


def test_a_letterbox_takes_frames_of_any_shape(tmp_path: Path) -> None:
    """Boxes and masks lie where they lie in the covered part of the input."""
    bundle = tiny_bundle(tmp_path / "b", family="maskrcnn", fit="letterbox")

    with edgeseg.load(bundle, backend="onnxruntime", threads=1, score_threshold=0.1) as model:
        square, wide = model(_picture(128, 128)).instances, model(_picture(64, 128)).instances
        _require_expected(square, (128, 128), 0.1, "maskrcnn")

    # The lower half of the input is free: boxes end at its edge, and the third lies beyond it.
    assert square.boxes.tolist() == [[32, 32, 64, 96], [48, 16, 112, 64], [64, 80, 120, 120]]
    assert wide.boxes.tolist() == [[32, 32, 64, 64], [48, 16, 112, 64]]
    for i in range(2):
        assert np.array_equal(wide.masks.paste(i), square.masks.paste(i)[:64])
