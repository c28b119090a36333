"""One clip of a batch."""

from __future__ import annotations

import json
import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from edgeseg.batch import clip, process
from edgeseg.batch.fingerprint import Fingerprint
from edgeseg.cli import main
from edgeseg.errors import BundleError, SinkError, SourceError
from edgeseg.sources import open_source
from edgeseg.sources.video import VideoSource
from tests.bundles import tiny_bundle


def without_time(file: Path) -> list[dict]:
    """Lines without what depends on the moment."""
    return [{name: value for name, value in json.loads(line).items() if name != "age_ms"} for line in file.read_text().splitlines()]


def test_results_are_those_of_a_run(make_job, folder, tmp_path):
    """The lines of `edgeseg run`, an annotated video, and nothing else; the outcome says what there is."""
    job = make_job()
    job = replace(job, options=replace(job.options, video=True))

    outcome = process(job)

    assert (outcome.frames, outcome.instances, outcome.error) == (4, 8, None)
    assert outcome.files == {path.name: path.stat().st_size for path in folder.iterdir()}
    assert list(outcome.files) == ["clip.mp4", "clip.jsonl"]
    assert outcome.fingerprint == Fingerprint.of(Path(job.source))
    run = tmp_path / "run.jsonl"
    assert main(["run", job.options.bundle, job.source, "--jsonl", str(run), "--backend", "onnxruntime"]) == 0
    assert without_time(folder / "clip.jsonl") == without_time(run)
    with open_source(folder / "clip.mp4") as video:
        assert video.info.frame_count == 4


def test_file_whose_name_looks_like_something_else_is_a_clip(make_job, folder):
    """A pipeline, a sequence of pictures, an escape sequence: the file is what is read."""
    names = ["a ! b", "100%d", "a\n\x1b[31m", ".work-x"]

    assert [process(make_job(name, frames=2)).error for name in names] == [None] * len(names)
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.jsonl" for name in names)


def test_results_reach_the_disk_before_they_get_their_names(make_job, folder, monkeypatch):
    """What the journal calls done is whole after a power cut too."""
    kept = []
    monkeypatch.setattr(os, "fsync", lambda handle: kept.append((os.fstat(handle).st_size, list(folder.glob("*.jsonl")))))

    outcome = process(make_job())

    assert kept == [(outcome.files["clip.jsonl"], [])]


def test_damaged_clip_is_an_outcome_without_files(make_job, folder):
    """Nothing is left in the folder, and older results stay."""
    job = make_job()
    Path(job.source).write_bytes(b"no video")
    (folder / "clip.jsonl").write_text("older")

    outcome = process(job)

    assert isinstance(outcome.error, SourceError)
    assert [path.name for path in folder.iterdir()] == ["clip.jsonl"]
    assert (folder / "clip.jsonl").read_text() == "older"


def test_decoder_that_hangs_is_an_outcome_without_files(make_job, folder, monkeypatch):
    """After the limit; its thread is told to end."""
    job, goes_on = make_job(), threading.Event()

    class Hanging(VideoSource):
        def __iter__(self):
            yield next(super().__iter__())
            goes_on.wait(60)

        def interrupt(self):
            goes_on.set()

    monkeypatch.setattr(clip, "open_source", lambda path: Hanging(str(path)))
    monkeypatch.setattr(clip, "FRAME_LIMIT_S", 0.5)

    outcome = process(job)

    assert "clip.mp4 gave no frame for 0.5 s" in str(outcome.error)
    assert goes_on.is_set()
    assert list(folder.iterdir()) == []


def test_decoder_that_hangs_at_the_first_frame_is_an_outcome(make_job, folder, monkeypatch):
    """It is decoded while the clip is opened, which has the same limit; what is opened too late is closed."""
    job, goes_on, closed = make_job(), threading.Event(), threading.Event()

    class Late(VideoSource):
        def close(self):
            super().close()
            closed.set()

    def hang(path):
        goes_on.wait(60)
        return Late(str(path))

    monkeypatch.setattr(clip, "open_source", hang)
    monkeypatch.setattr(clip, "FRAME_LIMIT_S", 0.5)

    outcome = process(job)
    goes_on.set()
    assert closed.wait(60)

    assert "clip.mp4 gave no frame for 0.5 s" in str(outcome.error)
    assert list(folder.iterdir()) == []


def test_maps_are_packed_where_the_clock_is_wrong(tmp_path):
    """A board without a battery begins in 1970, before zip files do."""
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "000000.png").write_bytes(b"map")
    os.utime(maps / "000000.png", (0, 0))

    clip._pack(maps, tmp_path / "clip.zip")

    with ZipFile(tmp_path / "clip.zip") as archive:
        assert archive.read("000000.png") == b"map"


def test_panoptic_maps_are_those_of_a_run(make_job, folder, tmp_path):
    """In one file, which holds what the folder of `edgeseg run` does; the lines name the maps."""
    job = make_job()
    bundle = tiny_bundle(tmp_path / "panoptic", family="panoptic")
    job = replace(job, options=replace(job.options, bundle=str(bundle), panoptic=True))

    outcome = process(job)

    assert list(outcome.files) == ["clip.zip", "clip.jsonl"]
    assert outcome.files == {path.name: path.stat().st_size for path in folder.iterdir()}
    run = [str(bundle), job.source, "--panoptic-dir", str(tmp_path / "maps"), "--jsonl", str(tmp_path / "run.jsonl")]
    assert main(["run", *run, "--backend", "onnxruntime"]) == 0
    with ZipFile(folder / "clip.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()
        }
    assert without_time(folder / "clip.jsonl") == without_time(tmp_path / "run.jsonl")


def test_clip_that_changes_while_it_is_read_fails(make_job, folder, monkeypatch):
    """Its results would be of neither of the two."""
    job = make_job()
    monkeypatch.setattr(clip, "run", lambda *_: os.utime(job.source, ns=(1, 1)))

    outcome = process(job)

    assert "was written to while it was read" in str(outcome.error)
    assert list(folder.iterdir()) == []


def test_places_that_fail_are_outcomes(make_job, options):
    """A clip that went away, a folder that did, a bundle that did; all travel between processes."""
    job = make_job()
    gone = replace(job, source=f"{job.source}.gone")
    nowhere = replace(job, folder=f"{job.folder}/nowhere")
    empty = replace(job, options=replace(options, bundle=job.folder))

    errors = [pickle.loads(pickle.dumps(process(each))).error for each in (gone, nowhere, empty)]  # noqa: S301  our own bytes

    assert [type(error) for error in errors] == [SourceError, SinkError, BundleError]
    assert "clip.mp4.gone: No such file" in str(errors[0])


def test_settings_are_what_results_depend_on(options):
    """Of the bundle the manifest's hash; threads and places are none."""
    settings = options.settings()

    assert json.loads(json.dumps(settings)) == settings
    assert settings == replace(options, threads=7, bundle=f"{options.bundle}/../tiny").settings()
    assert {"schedule", "between", "track", "smooth", "score", "backend", "precision", "video", "bundle"} <= settings.keys()
    with pytest.raises(OSError, match="No such file"):
        replace(options, bundle="gone").settings()
