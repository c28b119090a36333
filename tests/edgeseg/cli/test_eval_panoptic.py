"""``edgeseg eval --panoptic``: what it prints, writes and refuses, with pipelines that know the truth."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edgeseg.cli import eval as evaluate
from edgeseg.cli import eval_panoptic, main, panoptic_clips, turns
from edgeseg.cli.panoptic_clips import SyntheticClip
from edgeseg.errors import EvaluationError
from edgeseg.families import panoptic
from edgeseg.regions import things_of
from edgeseg.sources.synthetic import LABELS as SCENE_LABELS
from edgeseg.sources.synthetic import Scene, SceneConfig, classes_in
from edgeseg.truth import PanopticTruth, TruthSegment
from edgeseg.types import Label, Panoptic, Result, Segment, Step
from tests.bundles import tiny_bundle

LABELS = (*SCENE_LABELS[6:], *SCENE_LABELS[:6])
SHORT = ["eval", "BUNDLE", "--panoptic", "synthetic", "--clips", "1", "--frames", "18"]


def fake_model(labels=LABELS, gives_panoptic=True):
    bundle = SimpleNamespace(labels=labels, path="BUNDLE", family="panoptic" if gives_panoptic else "yolact")
    return SimpleNamespace(
        bundle=bundle, gives_panoptic=gives_panoptic, clock=time.monotonic, runs_on="CPU", choice=SimpleNamespace(name="fake"), threads=1
    )


def found_of(truth, labels, ids):
    """A true map as a result; things get the track id that ``ids`` makes of theirs."""
    numbers = {number: 1 + place for place, number in enumerate(truth.segments)}
    found = np.zeros_like(truth.ids)
    segments = []
    for number, kind in truth.segments.items():
        found[truth.ids == number] = numbers[number]
        is_thing = labels[kind.class_id].is_thing
        area = int((truth.ids == number).sum())
        segments.append(Segment(numbers[number], kind.class_id, is_thing, 1.0, area, ids(number) if is_thing else None))
    return Panoptic(found, tuple(sorted(segments, key=lambda segment: not segment.is_thing)))


@pytest.fixture
def oracle(monkeypatch):
    """Every frame is found exactly; ids hold on key frames and are anew on others; without tracking there are none."""
    state = SimpleNamespace(truth_of=None, labels=LABELS)

    class Oracle:
        def __init__(self, _model, settings):
            self.settings = settings

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def step(self, frame):
            key = self.settings.schedule == "every" or frame.index % 2 == 0
            track, shift = self.settings.track, 0 if key else frame.index << 20
            truth = state.truth_of(frame)
            found = None if truth is None else found_of(truth, state.labels, lambda number: number + shift if track else None)
            instances = None if found is None else things_of(found)
            return Result(frame.index, Step.KEY if key else Step.PROPAGATE, state.labels, frame.image_hw, instances, found)

    small = partial(SceneConfig, size_hw=(96, 128))

    def scene_truth(frame):
        scene = Scene(small(seed=int(frame.stream.partition("seed=")[2])))
        return scene.truth(frame.index).panoptic().in_classes(classes_in(LABELS))

    state.truth_of = scene_truth
    monkeypatch.setattr(evaluate, "SceneConfig", small)
    monkeypatch.setattr(turns, "Pipeline", Oracle)
    monkeypatch.setattr(eval_panoptic, "load", lambda *_a, **_k: nullcontext(fake_model(state.labels)))
    monkeypatch.setattr(eval_panoptic, "backend_text", lambda model: f"backend {model.choice.name}")
    return state


def test_synthetic_clips_are_scored(oracle, tmp_path, capsys):
    """The truth as a result has PQ 1 in every run; only constant ids keep VPQ and HOTA; the record has all numbers."""
    out = tmp_path / "scores.json"

    assert main([*SHORT, "--run", "every+track", "--run", "fixed:2+propagate+track", "--run", "every", "--json", str(out)]) == 0

    text = capsys.readouterr().out
    header, tracked, moved, plain = [line.split() for line in text.splitlines() if line.startswith(("run", "every", "fixed"))]
    assert header[-11:] == ["VPQ", "0", "VPQ", "5", "VPQ", "10", "VPQ", "15", "VPQ", "HOTA", "IDF1"]
    assert tracked[2:] == ["1.000"] * 12
    assert moved[2:8] == ["1.000"] * 6
    assert len(plain) == len(tracked) - 2
    perfect, changing, untracked = json.loads(out.read_text())["runs"]
    assert perfect["vpq"]["mean"] == perfect["identity"]["hota"] == 1
    assert changing["pq"]["overall"]["pq"] == 1
    assert changing["vpq"]["at"]["0"]["overall"]["pq"] == 1
    assert changing["vpq"]["things"] < 0.6 < changing["vpq"]["stuff"] == 1
    assert untracked["identity"] is None
    assert untracked["vpq"]["things"] < changing["vpq"]["things"]
    assert changing["steps"] == {"key": 9, "propagate": 9}


@pytest.mark.parametrize("labels", [SCENE_LABELS, LABELS], ids=["things first", "stuff first"])
def test_both_truths_of_a_scene_are_one(labels):
    """Instances and map say the same of the same pixels, under the model's class numbers; slivers are ignored here and void there."""
    clip = SyntheticClip(SceneConfig(seed=3, size_hw=(96, 128), frame_count=2), labels)

    for _, truth in clip:
        names = {labels[one.class_id].name for one in truth.panoptic.segments.values()}
        assert names & {"sky", "water", "grass", "sand"}
        for mask, class_id, ignored in zip(truth.things.masks, truth.things.classes, truth.things.ignored, strict=True):
            (number,) = np.unique(truth.panoptic.ids[mask]).tolist()
            assert labels[class_id].is_thing
            assert number == 0 if ignored else truth.panoptic.segments[number].class_id == class_id


def test_things_of_a_true_map():
    """One instance for each thing, crowds ignored, with the ids of the map; stuff is left out."""
    ids = np.array([[1, 2, 2], [0, 9, 9]], np.int32)
    truth = PanopticTruth(ids, {1: TruthSegment(0), 2: TruthSegment(1), 9: TruthSegment(1, is_crowd=True)})

    got = panoptic_clips.things_of(truth, (Label("road", 10, is_thing=False), Label("car", 20)))

    assert (got.ids.tolist(), got.classes.tolist(), got.ignored.tolist()) == ([2, 9], [1, 1], [False, True])
    assert [mask.tolist() for mask in got.masks] == [(ids == 2).tolist(), (ids == 9).tolist()]


def test_default_runs_are_those_that_a_bundle_can_do():
    """Masks of a panoptic map are not smoothed, and nothing is warped without the graph for it."""
    names = [run.name for run in evaluate.default_runs(SimpleNamespace(can_warp=False, gives_panoptic=True))]

    assert names == ["every", "fixed:5+propagate", "adaptive"]


@pytest.fixture
def data_set(tmp_path):
    """Writes a data set: ``data_set(ids by picture, maps by image id, video)``; category ids 10 and 20, stuff and thing."""

    def write(image_ids, maps, **extra):
        (tmp_path / "pictures").mkdir()
        (tmp_path / "panoptic_maps").mkdir()
        images, annotations = [], []
        for number in image_ids:
            cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), np.full((4, 8, 3), 50, np.uint8))
            images.append({"id": number, "file_name": f"{number}.png", "height": 4, "width": 8, **extra})
        for number, ids in maps.items():
            ids = np.tile(np.array(ids, np.int32), (4, 2))
            cv2.imwrite(str(tmp_path / "panoptic_maps" / f"{number}.png"), np.stack([ids >> 16, ids >> 8, ids], 2).astype(np.uint8))
            segments = [{"id": k, "category_id": 10 if k == 1 else 20, "iscrowd": 0} for k in np.unique(ids).tolist() if k]
            annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
        (tmp_path / "panoptic_made_up.json").write_text(json.dumps({"images": images, "annotations": annotations}))
        return tmp_path

    return write


def test_videos_of_a_data_set_are_scored(oracle, data_set, tmp_path, capsys):
    """All frames of both videos are processed, those with a map are scored; VPQ stacks labelled frames."""
    labelled = [10_002, 10_004, 20_002, 20_004]
    folder = data_set([10_001, 10_002, 10_003, 10_004, 20_001, 20_002, 20_003, 20_004], {number: [1, 1, 700, 700] for number in labelled})
    oracle.labels = (Label("road", 10, is_thing=False), Label("car", 20))
    clips = eval_panoptic.open_panoptic(folder, oracle.labels, "vps").clips
    oracle.truth_of = lambda frame: {clip.name: clip for clip in clips}[frame.stream].pictures[frame.index].truth(oracle.labels)
    out = tmp_path / "scores.json"

    assert main(["eval", "B", "--panoptic", str(folder), "--panoptic-layout", "vps", "--run", "every+track", "--json", str(out)]) == 0

    (got,) = json.loads(out.read_text())["runs"]
    assert "2 videos of 8 frames of" in capsys.readouterr().out
    assert got["steps"] == {"key": 8}
    assert got["pq"]["counts"]["car"]["matched"] == 4
    assert {k: one["counts"]["car"]["matched"] for k, one in got["vpq"]["at"].items()} == {"0": 4, "5": 2, "10": 0, "15": 0}
    assert got["vpq"]["mean"] is None
    assert got["identity"]["hota"] == 1

    assert main(["eval", "B", "--panoptic", str(folder), "--panoptic-layout", "vps", "--clips", "1", "--frames", "3"]) == 0
    assert "1 video of 3 frames of" in capsys.readouterr().out


def test_pictures_of_a_data_set_are_scored(oracle, data_set, capsys):
    """Each stands alone: there is no video quality, and no column for it; --clips takes the first."""
    folder = data_set([5, 6, 7], {5: [1, 700, 0, 0], 6: [700, 700, 700, 1], 7: [1, 1, 1, 1]})
    oracle.labels = (Label("road", 10, is_thing=False), Label("car", 20))
    clips = eval_panoptic.open_panoptic(folder, oracle.labels).clips
    oracle.truth_of = lambda frame: {clip.name: clip for clip in clips}[frame.stream].pictures[0].truth(oracle.labels)

    assert main(["eval", "B", "--panoptic", str(folder), "--clips", "2"]) == 0

    text = capsys.readouterr().out
    assert "2 pictures of" in text
    assert next(line.split() for line in text.splitlines() if line.startswith("every"))[2:] == ["1.000"] * 5
    assert "HOTA  " not in text


def test_maps_that_a_run_wrote_are_its_own_truth(tmp_path, capsys):
    """A real bundle is run on a folder of pictures with --panoptic-dir; against what that wrote its quality is 1, as video too."""
    bundle, data = tiny_bundle(tmp_path / "bundle", family=panoptic.NAME), tmp_path / "data"
    (data / "pictures").mkdir(parents=True)
    scene, options = Scene(SceneConfig(seed=1, size_hw=(48, 64))), ["--backend", "onnxruntime", "--threads", "1"]
    for index in range(4):
        cv2.imwrite(str(data / "pictures" / f"{index}.png"), scene.render(index))
    assert main(["run", str(bundle), str(data / "pictures"), "--track", "--panoptic-dir", str(data / "panoptic_maps"), *options]) == 0

    for source in (data, data / "panoptic_maps" / "panoptic.json"):
        capsys.readouterr()
        run = ["--panoptic-layout", "vps", "--run", "every+track"]
        assert main(["eval", str(bundle), "--panoptic", str(source), *run, *options]) == 0
        text = capsys.readouterr().out
        assert next(line.split() for line in text.splitlines() if line.startswith("every"))[2:] == [*["1.000"] * 4, "-", *["1.000"] * 7]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--panoptic", "synthetic", "--synthetic"], 2, "not allowed with"),
        (["--panoptic", "synthetic", "--panoptic-layout", "ade"], 2, "invalid choice"),
        (["--panoptic", "synthetic", "--run", "every+fast"], 2, "'fast' is not known"),
    ],
)
def test_wrong_usage_is_found_before_the_model_is_loaded(arguments, code, message, capsys, monkeypatch):
    """The message says what is wrong; nothing is loaded."""
    monkeypatch.setattr(eval_panoptic, "load", lambda *_args, **_options: pytest.fail("the model was loaded"))

    assert main(["eval", "BUNDLE", *arguments]) == code
    assert message in capsys.readouterr().err


def test_bundles_that_do_not_fit_are_refused(oracle, capsys, monkeypatch):
    """One without maps, and one of other classes: the message says what to do."""
    monkeypatch.setattr(eval_panoptic, "load", lambda *_a, **_k: nullcontext(fake_model(gives_panoptic=False)))
    assert main(SHORT) == 2
    assert "gives no panoptic maps (its family is yolact). Score it with --synthetic" in capsys.readouterr().err

    monkeypatch.setattr(eval_panoptic, "load", lambda *_a, **_k: nullcontext(fake_model((Label("cup", 1),))))
    assert main(SHORT) == 2
    assert "trained for other classes (cup)" in capsys.readouterr().err
    assert main([*SHORT[:3], "nowhere"]) == EvaluationError.exit_code
    assert "nowhere does not exist" in capsys.readouterr().err
