"""``edgeseg run``: what it writes, prints and refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from edgeseg.backends import choose
from edgeseg.cli import main
from edgeseg.families import panoptic
from edgeseg.opencv import opencv
from edgeseg.sources import open_source
from edgeseg.sources.picture import read_picture
from tests.bundles import OUTPUTS, tiny_bundle, tiny_expected

CLIP = "synthetic:seed=1,frames=4,size=64x48"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_video_and_lines_hold_every_frame(bundle, tmp_path, capsys, backend):
    """A clip gives an annotated video and a JSON line per frame with what the graph finds, and a summary."""
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"

    assert main(["run", str(bundle), CLIP, "--out", str(video), "--jsonl", str(lines), "--backend", backend, "--threads", "1"]) == 0

    records = [json.loads(line) for line in lines.read_text().splitlines()]
    expected = [(found.class_id, found.category_id, list(found.box)) for found in tiny_expected((48, 64))]
    assert [record["frame"] for record in records] == [0, 1, 2, 3]
    for record in records:
        assert [(entry["class_id"], entry["category_id"], entry["box"]) for entry in record["instances"]] == expected
    with open_source(video) as source:
        assert (source.info.frame_count, source.info.image_hw, source.info.fps) == (4, (48, 64), 30.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"backend {backend} (as asked) on " in err
    assert "4 frames in " in err
    assert "8 instances" in err
    for stage in ("prepare", "infer", "decode", "write", "total", "peak memory", f"wrote {video}", f"wrote {lines}"):
        assert stage in err


@pytest.mark.parametrize("family", OUTPUTS)
@pytest.mark.parametrize("options", [[], ["--schedule", "fixed:2", "--track", "--smooth"], ["--schedule", "fixed:2", "--overlap"]])
def test_every_family_reaches_every_output(tmp_path, family, options):
    """Lines, detections, video and pictures, with and without what video adds; pictures are painted on. Maps cannot be smoothed."""
    options = [option for option in options if option != "--smooth" or family != panoptic.NAME]
    bundle, video, lines, folder = tiny_bundle(tmp_path / "b", family=family), tmp_path / "o.mp4", tmp_path / "o.jsonl", tmp_path / "o"
    detections = tmp_path / "o.json"
    command = ["run", str(bundle), CLIP, "--backend", "onnxruntime", "--threads", "1", *options]

    assert main([*command, "--out", str(video), "--jsonl", str(lines)]) == 0
    assert main([*command, "--out", f"{folder}/", "--coco", str(detections)]) == 0

    records = [json.loads(line) for line in lines.read_text().splitlines()]
    expected = [(found.class_id, pytest.approx(found.box)) for found in tiny_expected((48, 64), family=family)]
    assert [record["frame"] for record in records] == [0, 1, 2, 3]
    assert [(entry["class_id"], entry["box"]) for entry in records[0]["instances"]] == expected
    assert all(len(record["instances"]) for record in records)
    assert {entry["image_id"] for entry in json.loads(detections.read_text())} == {0, 1, 2, 3}
    with open_source(video) as source:
        assert source.info.frame_count == 4
    with open_source(CLIP) as source:
        for frame in source:
            assert not np.array_equal(read_picture(folder / f"{frame.index:06d}.png"), frame.pixels)


def test_choice_of_backend_says_why(bundle, picture, capsys):
    """Without --backend the choice is printed with its reason."""
    assert main(["run", str(bundle), str(picture)]) == 0

    choice = choose()
    assert f"backend {choice.name} ({choice.reason}) on " in capsys.readouterr().err


def test_score_leaves_out_what_scores_no_more(bundle, picture, capfd):
    """--score moves the threshold; lines on the standard output are alone there."""
    counts = {}
    for score in ("0.1", "0.3", "0.95"):
        assert main(["run", str(bundle), str(picture), "--jsonl", "-", "--score", score, "--backend", "onnxruntime"]) == 0
        counts[score] = len(json.loads(capfd.readouterr().out)["instances"])

    assert counts == {"0.1": 3, "0.3": 2, "0.95": 0}


def test_picture_becomes_an_annotated_picture(bundle, picture, tmp_path):
    """One picture in, one picture of the same size out, and it is painted on."""
    out = tmp_path / "annotated.png"

    assert main(["run", str(bundle), str(picture), "--out", str(out), "--backend", "onnxruntime"]) == 0

    assert read_picture(out).shape == (60, 80, 3)
    assert not np.array_equal(read_picture(out), read_picture(picture))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((1, 1, 3), np.uint8), np.zeros((30, 40), np.uint8), np.zeros((30, 40, 4), np.uint8), np.zeros((30, 40), np.uint16)],
    ids=["1x1", "grey", "alpha", "16 bit"],
)
def test_unusual_pictures_work(bundle, tmp_path, pixels):
    """A picture of one pixel, a grey one, one with alpha and one of 16 bit all get a line and an annotated copy."""
    path, out, lines = tmp_path / "in.png", tmp_path / "out.png", tmp_path / "out.jsonl"
    opencv().imwrite(str(path), pixels)

    assert main(["run", str(bundle), str(path), "--out", str(out), "--jsonl", str(lines), "--backend", "onnxruntime"]) == 0

    assert json.loads(lines.read_text())["image_size"] == list(pixels.shape[:2])
    assert read_picture(out).shape == (*pixels.shape[:2], 3)


def test_folder_of_pictures_becomes_a_folder_of_the_same_names(bundle, tmp_path):
    """Pictures of different sizes keep their names."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, side in (("b10.png", 20), ("b9.jpg", 30)):
        opencv().imwrite(str(pictures / name), np.zeros((side, side, 3), np.uint8))

    assert main(["run", str(bundle), str(pictures), "--out", f"{tmp_path}/out/", "--backend", "onnxruntime"]) == 0

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b10.png", "b9.jpg"]


def test_a_picture_of_another_shape_is_refused_and_leaves_older_results(tmp_path, picture, capsys):
    """A bundle for frames of one shape says what it takes instead; no output is begun."""
    bundle, lines = tiny_bundle(tmp_path / "b", family="maskrcnn", fit="same_shape"), tmp_path / "out.jsonl"
    lines.write_text("older\n")
    before = sorted(tmp_path.rglob("*"))

    assert main(["run", str(bundle), str(picture), "--jsonl", str(lines), "--out", f"{tmp_path}/o.png", "--backend", "onnxruntime"]) == 1

    error = capsys.readouterr().err
    for part in (
        "edgeseg: error: frame 0 (picture.png) cannot be segmented: its 60x80 pixels",
        "64x64",
        "--frame 60x80",
        "--fit letterbox",
    ):
        assert part in error
    assert "Traceback" not in error
    assert (sorted(tmp_path.rglob("*")), lines.read_text()) == (before, "older\n")


def test_a_folder_stops_at_the_picture_of_another_shape(tmp_path, capsys):
    """It is named; the outputs hold whole results of those before it, and nothing of it."""
    bundle, pictures, lines = tiny_bundle(tmp_path / "b", family="maskrcnn", fit="same_shape"), tmp_path / "pictures", tmp_path / "o.jsonl"
    pictures.mkdir()
    for name, hw in (("1.png", (20, 20)), ("2.png", (30, 30)), ("3.png", (30, 20)), ("4.png", (20, 20))):
        opencv().imwrite(str(pictures / name), np.zeros((*hw, 3), np.uint8))

    assert main(["run", str(bundle), str(pictures), "--out", f"{tmp_path}/out/", "--jsonl", str(lines), "--backend", "onnxruntime"]) == 1

    assert "frame 2 (3.png) cannot be segmented: its 30x20 pixels" in capsys.readouterr().err
    assert [json.loads(line)["image_size"] for line in lines.read_text().splitlines()] == [[20, 20], [30, 30]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "2.png"]


def test_max_frames_ends_early(bundle, tmp_path):
    """--max-frames stops a longer source."""
    lines = tmp_path / "out.jsonl"

    assert main(["run", str(bundle), CLIP, "--max-frames", "2", "--jsonl", str(lines), "--backend", "onnxruntime"]) == 0

    assert len(lines.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.mp4"], 1, "no file or folder 'missing.mp4'"),
        (["http://host/a"], 2, "http:// is not read"),
        (["v4l2src ! fakesink"], 2, "has no appsink"),
        (["videotestsrc ! " + "identity ! " * 60 + "fakesink", "--out", "TMP/out.mp4"], 2, "has no appsink"),
        (["a" * 300], 1, "no file or folder 'aaa"),
        (["synthetic:seed=x"], 2, "cannot be used for seed"),
        ([CLIP, "--schedule", "never"], 2, "there is no schedule 'never'"),
        ([CLIP, "--precision", "int8", "--backend", "onnxruntime"], 1, "has no int8 version"),
        ([CLIP, "--out", "TMP/missing/out.mp4"], 1, "mkdir -p"),
        ([CLIP, "--jsonl", "TMP/missing/out.jsonl"], 1, "mkdir -p"),
        ([CLIP, "--out", f"TMP/{'a' * 300}.mp4"], 1, "File name too long. Give another name"),
        ([CLIP, "--jsonl", f"TMP/{'a' * 300}"], 1, "File name too long. Free some space or choose another place"),
        ([CLIP, "--coco", f"TMP/{'a' * 300}"], 1, "File name too long. Give another name"),
        ([CLIP, "--out", "TMP/out.png"], 2, "is one picture, but the source has more"),
        ([CLIP, "--out", "TMP/out.avi"], 2, "its ending is none that can be written"),
        ([CLIP, "--jsonl", "TMP/picture.png", "--out", "TMP/picture.png"], 2, "would overwrite the source or another output"),
        (["TMP/picture.png", "--out", "TMP/picture.png"], 2, "would overwrite the source"),
        (["TMP/picture.png", "--coco", "TMP/picture.png"], 2, "would overwrite the source"),
        ([CLIP, "--coco", "TMP/missing/out.json"], 1, "mkdir -p"),
        (["TMP/picture.png", "--out", "TMP/"], 2, "would overwrite the source"),
        (["TMP", "--out", "TMP/"], 2, "would overwrite the source"),
        ([CLIP, "--jsonl", "/dev/full", "--backend", "onnxruntime"], 1, "No space left on device"),
    ],
)
def test_what_cannot_work_is_one_message_and_a_code(bundle, picture, tmp_path, capsys, arguments, code, message):
    """Mistakes end with one line that says what is wrong, no traceback, and leave no output behind."""
    before = sorted(tmp_path.rglob("*"))

    assert main(["run", str(bundle), *[argument.replace("TMP", str(tmp_path)) for argument in arguments]]) == code

    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("edgeseg: error: ")
    assert message in error
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--score", "1.5"], "'1.5' is not a number from 0 to 1"),
        (["--score", "nan"], "'nan' is not a number from 0 to 1"),
        (["--threads", "0"], "'0' is not a whole number from 1"),
        (["--max-frames", "two"], "'two' is not a whole number from 1"),
        (["--backend", "abacus"], "invalid choice: 'abacus'"),
    ],
)
def test_wrong_option_values_are_wrong_usage(bundle, capsys, arguments, message):
    """argparse refuses values out of range with exit code 2."""
    assert main(["run", str(bundle), CLIP, *arguments]) == 2

    assert message in capsys.readouterr().err


def test_damaged_bundle_is_an_error_that_leaves_older_results(bundle, picture, tmp_path, capsys):
    """A changed byte in the bundle is found, and results of an earlier run are still there."""
    lines = tmp_path / "out.jsonl"
    lines.write_text("older\n")
    graph = bundle / "key.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")

    assert main(["run", str(bundle), str(picture), "--jsonl", str(lines)]) == 1

    assert "was changed or damaged" in capsys.readouterr().err
    assert lines.read_text() == "older\n"


def test_interrupt_finishes_the_outputs(bundle, tmp_path, capsys, monkeypatch):
    """Ctrl-C ends the run with code 130; the video up to there can be played."""

    def interrupt_at_third(_self, _result):
        interrupt_at_third.calls += 1
        if interrupt_at_third.calls == 3:
            raise KeyboardInterrupt

    interrupt_at_third.calls = 0
    monkeypatch.setattr("edgeseg.cli.status.StreamStatus.see", interrupt_at_third)
    video = tmp_path / "out.mp4"

    assert main(["run", str(bundle), CLIP, "--out", str(video), "--backend", "onnxruntime"]) == 130

    assert "stopped" in capsys.readouterr().err
    with open_source(video) as source:
        assert source.info.frame_count == 3


def test_reader_of_the_lines_may_leave(bundle, checkout):
    """``edgeseg run ... --jsonl - | head -1`` ends in silence when head has its line."""
    command = [
        sys.executable,
        "-m",
        "edgeseg",
        "run",
        str(bundle),
        "synthetic:size=64x48,frames=2000",
        "--jsonl",
        "-",
        "--backend",
        "onnxruntime",
    ]
    process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()

    assert process.wait() == 0
    assert json.loads(first)["frame"] == 0
    assert "Traceback" not in error
    assert "BrokenPipe" not in error
    assert "2000 frames" not in error


@pytest.mark.parametrize(("fuse", "code", "message"), [(False, 2, "has nothing that --faithful would restore"), (True, 0, "2 frames in ")])
def test_faithful_is_for_models_that_have_something_to_restore(tmp_path, capsys, fuse, code, message):
    """Others are refused with exit code 2."""
    bundle = tiny_bundle(tmp_path / "b", fuse=fuse)

    assert main(["run", str(bundle), CLIP, "--faithful", "--max-frames", "2", "--backend", "onnxruntime", "--threads", "1"]) == code
    assert message in capsys.readouterr().err
