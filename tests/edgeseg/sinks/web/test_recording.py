"""Recordings that a viewer starts and stops."""

from __future__ import annotations

import shutil
import threading

import pytest

from edgeseg.errors import SinkError
from edgeseg.sinks.video import VideoSink
from edgeseg.sinks.web.recording import Recording, free_name
from edgeseg.sources import open_source


def frames_in(path) -> int:
    with open_source(path) as source:
        return sum(1 for _ in source)


def test_recording_holds_the_frames_between_start_and_stop(tmp_path, make_frame, make_result):
    """What is put after the stop is not in it, what was put before is, whatever the source skipped; it plays at the rate asked for."""
    recording = Recording(tmp_path / "a.mp4", 12.0)
    for index in (3, 6, 7, 20, 30):
        recording.put(make_frame(index), make_result(index=index), 0.0)
    recording.finish()
    recording.put(make_frame(31), make_result(index=31), 0.0)
    recording.join()

    assert frames_in(tmp_path / "a.mp4") == recording.frames == 5
    assert (recording.error, recording.missed, recording.is_on, recording.is_alive) == (None, 0, False, False)
    with open_source(tmp_path / "a.mp4") as source:
        assert source.info.fps == pytest.approx(12.0)


def test_slow_encoder_misses_frames_and_keeps_nobody_waiting(tmp_path, make_frame, make_result, monkeypatch):
    """While the encoder hangs, 16 frames wait and the others are counted as missed; later all that waited are written."""
    inside, free = threading.Event(), threading.Event()
    write = VideoSink.write

    def hang(self, frame, result):
        inside.set()
        free.wait()
        write(self, frame, result)

    monkeypatch.setattr(VideoSink, "write", hang)
    recording = Recording(tmp_path / "a.mp4", 30.0)
    recording.put(make_frame(0), make_result(), 0.0)
    inside.wait()
    for index in range(1, 41):
        recording.put(make_frame(index), make_result(index=index), 0.0)
    free.set()
    recording.join()

    assert (recording.frames, recording.missed) == (17, 24)
    assert frames_in(tmp_path / "a.mp4") == 17


def test_change_of_size_ends_the_recording(tmp_path, make_frame, make_result):
    """The file holds what came before, and the reason is kept."""
    recording = Recording(tmp_path / "a.mp4", 30.0)
    recording.put(make_frame(0), make_result(), 0.0)
    recording.put(make_frame(1, (48, 64)), make_result((), (48, 64), 1), 0.0)
    recording.join()

    assert "size of the picture changed" in recording.error
    assert frames_in(tmp_path / "a.mp4") == 1


def test_recording_without_a_frame_leaves_no_file(tmp_path):
    """Start and stop at once."""
    Recording(tmp_path / "a.mp4", None).join()

    assert list(tmp_path.iterdir()) == []


def test_full_disk_ends_the_recording_alone(tmp_path, make_frame, make_result, monkeypatch):
    """The error is kept for the page; nothing is raised where frames are put."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    recording = Recording(tmp_path / "a.mp4", 30.0)
    recording.put(make_frame(0), make_result(), 0.0)
    recording.join()

    assert "the disk is full" in recording.error
    assert not recording.is_on


def test_missing_folder_is_found_at_the_start(tmp_path):
    """Before any thread is begun."""
    with pytest.raises(SinkError, match="mkdir -p"):
        Recording(tmp_path / "none" / "a.mp4", None)


def test_names_are_never_used_twice(tmp_path):
    """An older recording is not overwritten."""
    assert free_name(tmp_path, "x").name == "x.mp4"
    (tmp_path / "x.mp4").touch()
    (tmp_path / "x-2.mp4").touch()
    assert free_name(tmp_path, "x").name == "x-3.mp4"
