"""``edgeseg batch``."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgeseg.backends import Choice
from edgeseg.batch import process
from edgeseg.batch.executors.fake import FakeExecutor
from edgeseg.cli import batch, main
from edgeseg.cli.signals import Terminated
from edgeseg.opencv import opencv
from edgeseg.sources import open_source

OPTIONS = ["--backend", "onnxruntime", "--threads", "1"]


@pytest.fixture
def clips(tmp_path) -> list[str]:
    """Three videos of three frames, two of them of one name."""
    paths = [tmp_path / "clips" / name for name in ("one/a.mp4", "two/a.mp4", "b.mp4")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = opencv().VideoWriter(str(path), opencv().VideoWriter_fourcc(*"mp4v"), 30, (64, 48))
        for _ in range(3):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
        writer.release()
    return [str(path) for path in paths]


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    """Clips run here, in the order in which they come."""
    monkeypatch.setattr(batch, "_executor", lambda *_: FakeExecutor())


def states(folder: Path) -> dict[str, str]:
    """Name -> state, of the journal."""
    return {entry["name"]: entry["state"] for entry in map(json.loads, (folder / "batch.jsonl").read_text().splitlines()[1:])}


def test_archive_becomes_one_folder_and_the_second_call_does_nothing(bundle, clips, tmp_path, capsys):
    """Clips of one name do not collide; each has its lines and its video."""
    out = tmp_path / "out"
    command = ["batch", str(bundle), *clips, "--out", str(out), "--video", *OPTIONS]

    assert main(command) == 0
    told = capsys.readouterr().err
    assert "backend onnxruntime (as asked), at most " in told
    assert "3 clips done, 0 were there, 0 failed" in told
    names = ["a", "a-2", "b"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*(f"{n}{s}" for n in names for s in (".jsonl", ".mp4")), "batch.jsonl"])
    assert states(out) == dict.fromkeys(names, "done")
    for name in names:
        assert [len(json.loads(line)["instances"]) for line in (out / f"{name}.jsonl").read_text().splitlines()] == [2, 2, 2]
        with open_source(out / f"{name}.mp4") as video:
            assert video.info.frame_count == 3
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.jsonl") if path.name != "batch.jsonl"}

    assert main(command) == 0
    assert "0 clips done, 3 were there, 0 failed" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_damaged_clip_fails_alone_and_can_be_mended(bundle, clips, tmp_path, capsys):
    """Exit code 1 and its name; the next call does it alone."""
    out = tmp_path / "out"
    whole = Path(clips[0]).read_bytes()
    Path(clips[0]).write_bytes(whole[:100])
    command = ["batch", str(bundle), *clips, "--out", str(out), *OPTIONS]

    assert main(command) == 1
    told = capsys.readouterr().err
    assert f"a failed, the others go on: {clips[0]} has no frame that can be decoded" in told
    assert "2 clips done, 0 were there, 1 failed" in told
    assert states(out) == {"a": "failed", "a-2": "done", "b": "done"}
    assert not (out / "a.jsonl").exists()

    Path(clips[0]).write_bytes(whole)
    assert main(command) == 0
    assert "1 clip done, 2 were there, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_stopped_batch_goes_on_where_it_was(bundle, clips, tmp_path, capsys, monkeypatch, stop, code):
    """What was done is kept, nothing half done is seen, and the same command does the others."""
    out = tmp_path / "out"
    command = ["batch", str(bundle), *clips, "--out", str(out), *OPTIONS]

    def work(job):
        if job.name == "a-2":
            (out / ".work-half").mkdir()
            raise stop
        return process(job)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "_executor", lambda *_: FakeExecutor(work=work))
        assert main(command) == code
    assert "edgeseg: stopped; clips that are done are kept, and the same command does the others" in capsys.readouterr().err
    assert sorted(os.listdir(out)) == ["a.jsonl", "batch.jsonl"]  # noqa: PTH208  hidden ones too
    assert states(out) == {"a": "done", "a-2": "waiting", "b": "waiting"}

    assert main(command) == 0
    assert "2 clips done, 1 were there, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["CLIP", "rtsp://user:secret@host/stream"], 2, "there is no file 'rtsp://"),
        (["CLIP", "missing.mp4"], 2, "there is no file 'missing.mp4'. 'edgeseg batch' takes video files"),
        (["CLIP", "--schedule", "deadline:33ms"], 2, "an archive has no deadline"),
        (["CLIP", "--schedule", "never"], 2, "there is no schedule 'never'"),
        (["CLIP", "--smooth"], 2, "switch tracking on"),
        (["CLIP", "--precision", "int8"], 1, "has no int8 version of graph 'key'"),
        (["CLIP", "--faithful"], 2, "Leave --faithful out"),
        (["CLIP", "--panoptic"], 2, "Take a panoptic bundle"),
        (["CLIP", "--out", "TMP/none/out"], 1, "mkdir -p"),
        (["CLIP", "--out", "TMP/clips"], 2, "holds what 'edgeseg batch' did not write"),
    ],
)
def test_what_cannot_work_is_one_message_and_a_code(bundle, clips, tmp_path, capsys, arguments, code, message):
    """And no clip is blamed for it."""
    given = [argument.replace("TMP", str(tmp_path)).replace("CLIP", clips[0]) for argument in arguments]

    assert main(["batch", str(bundle), "--out", str(tmp_path / "out"), *OPTIONS, *given]) == code

    told = capsys.readouterr().err
    assert told.splitlines()[-1].startswith("edgeseg: error: ")
    assert message in told
    assert "secret" not in told
    assert "failed, the others go on" not in told


def test_maps_that_a_bundle_does_not_have_leave_the_folder_free(bundle, clips, tmp_path, capsys):
    """The same command without the option works."""
    command = ["batch", str(bundle), clips[0], "--out", str(tmp_path / "out"), *OPTIONS]

    assert main([*command, "--panoptic"]) == 2
    assert not (tmp_path / "out").exists()
    assert main(command) == 0


@pytest.mark.parametrize(
    ("arguments", "workers", "threads"),
    [
        ([], 4, 1),
        (["--workers", "2"], 2, 2),
        (["--workers", "2", "--threads", "3"], 2, 3),
        (["--threads", "3"], 4, 3),
        (["--workers", "9"], 9, 1),
        (["--ray"], 4, 1),
        (["--ray", "10.0.0.1:6379"], None, 1),
        (["--ray", "10.0.0.1:6379", "--workers", "5", "--threads", "2"], 5, 2),
    ],
)
def test_work_is_divided_by_the_cores_of_this_machine(monkeypatch, arguments, workers, threads):
    """Four cores and six clips; of a cluster nothing is known."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    args = parsed("batch", "BUNDLE", "a.mp4", "--out", "out", "--backend", "onnxruntime", *arguments)

    assert batch._divide(args, 6, Choice("onnxruntime", "as asked")) == batch._Share(workers, threads)


@pytest.mark.parametrize(
    ("ray", "backend", "gpus"), [("10.0.0.1:6379", "tensorrt", 1), ("10.0.0.1:6379", "onnxruntime", 0), ("local", "tensorrt", 0)]
)
def test_worker_on_a_cluster_asks_for_the_gpu_that_its_backend_needs(ray, backend, gpus):
    """A Ray of our own hides none, and one worker alone uses it."""
    args = argparse.Namespace(ray=ray, workers=None, threads=None)

    assert batch._divide(args, 6, Choice(backend, "as asked")).gpus == gpus


def parsed(*arguments):
    """The options as the verb gets them."""
    from edgeseg.cli import _parser

    return _parser().parse_args(arguments)


def test_a_folder_is_of_one_backend_whichever_auto_chooses(bundle, clips, tmp_path, capsys, monkeypatch):
    """The choice is kept by its name, so that a machine where auto means another backend does not mix results."""
    out = tmp_path / "out"
    command = ["batch", str(bundle), clips[0], "--out", str(out), "--threads", "1"]
    for name, code in (("openvino", 0), ("onnxruntime", 2)):
        monkeypatch.setattr(batch, "choose", lambda _, name=name: Choice(name, "the fastest here"))
        assert main(command) == code

    assert "holds results of other settings: backend openvino instead of onnxruntime" in capsys.readouterr().err
