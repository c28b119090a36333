"""Annotated videos: whole files under their name, or none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.draw import annotate
from edgeseg.errors import SinkError
from edgeseg.sinks import video
from edgeseg.sinks.video import VideoSink
from edgeseg.sources import open_source

BOX = (10, 30, 120, 90)


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "with space.MP4"])
def test_video_holds_every_annotated_frame(tmp_path, make_frame, make_result, name):
    """What is read back is the annotated frames at the given frame rate, and nothing else lies in the folder."""
    with VideoSink(tmp_path / name, 12.5) as sink:
        for index in range(5):
            sink.write(make_frame(index), make_result([BOX], index=index))
        assert not (tmp_path / name).exists()

    with open_source(tmp_path / name) as source:
        frames = list(source)

    assert source.info.fps == pytest.approx(12.5)
    assert len(frames) == 5
    annotated, plain = annotate(make_frame().pixels, make_result([BOX])), make_frame().pixels
    # The codec is lossy, so the frame is near the annotated picture and far from the plain one.
    assert np.abs(frames[3].pixels.astype(int) - annotated).mean() < np.abs(frames[3].pixels.astype(int) - plain).mean() / 3
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_name_that_is_not_utf8_is_refused(tmp_path):
    """OpenCV would end the process at it."""
    with pytest.raises(SinkError, match="not UTF-8, which OpenCV cannot write"):
        VideoSink(tmp_path / "\udcff.mp4", 30.0)


@pytest.mark.parametrize("fps", [None, 1.0, 23.976023976023978, 29.97002997002997, 59.94, 240.5, 1000.0])
def test_usual_frame_rates_are_written(tmp_path, make_frame, make_result, fps):
    """Each frame rate that a source may state can be written; without one it is 30."""
    with VideoSink(tmp_path / "out.mp4", fps) as sink:
        for index in range(3):
            sink.write(make_frame(index), make_result())

    with open_source(tmp_path / "out.mp4") as source:
        assert source.info.fps == pytest.approx(fps or 30.0, rel=1e-3)


@pytest.mark.parametrize(("hw", "written"), [((33, 47), (34, 48)), ((1, 1), (2, 2)), ((2, 2), (2, 2)), ((1, 300), (2, 300))])
def test_odd_sides_grow_by_one(tmp_path, make_frame, make_result, hw, written):
    """The codec wants even sides; no row or column is lost for it."""
    with VideoSink(tmp_path / "out.mp4", None) as sink:
        sink.write(make_frame(hw=hw), make_result([], hw=hw))

    with open_source(tmp_path / "out.mp4") as source:
        assert source.info.image_hw == written


def test_dropped_frames_are_stood_for_by_the_one_before(tmp_path, make_frame, make_result):
    """A live source that skips plays as fast as life; a gap of more than ten seconds is cut to that."""
    with VideoSink(tmp_path / "out.mp4", 2.0) as sink:
        for index, grey in ((3, 10), (4, 90), (7, 170), (100, 250)):
            frame = make_frame(index)
            sink.write(replace(frame, pixels=np.full_like(frame.pixels, grey)), make_result([], index=index))

    with open_source(tmp_path / "out.mp4") as source:
        shades = [int(frame.pixels.mean()) for frame in source]

    assert [round((shade - 10) / 80) for shade in shades] == [0, 1, 1, 1, 2, *[2] * 20, 3]


def test_another_size_after_a_lost_connection_is_scaled(tmp_path, make_frame, make_result):
    """A camera that comes back with other settings does not end the recording."""
    with VideoSink(tmp_path / "out.mp4", None) as sink:
        sink.write(make_frame(0), make_result())
        sink.write(replace(make_frame(1, hw=(50, 60)), reconnects=1), make_result([], hw=(50, 60)))

    with open_source(tmp_path / "out.mp4") as source:
        assert [frame.image_hw for frame in source] == [(96, 128)] * 2


def test_frames_of_another_size_are_an_error_and_the_frames_before_are_kept(tmp_path, make_frame, make_result):
    """A video has one size; the message leads to a folder of pictures."""
    path = tmp_path / "out.mp4"
    with VideoSink(path, None) as sink:
        sink.write(make_frame(0), make_result())
        with pytest.raises(SinkError, match=r"frame 1 is 60x50 but .*out\.mp4 is 128x96.*--out FOLDER/"):
            sink.write(make_frame(1, hw=(50, 60)), make_result([], hw=(50, 60)))

    with open_source(path) as source:
        assert source.info.frame_count == 1


def test_video_that_the_disk_cut_off_is_an_error_and_leaves_nothing(tmp_path, make_frame, make_result, file_size_limit):
    """OpenCV does not notice a full disk; the sink does, and leaves an older video alone."""
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    sink = VideoSink(path, None)
    noise = np.random.default_rng(5)

    with file_size_limit(3000):
        for index in range(10):
            frame = make_frame(index)
            frame.pixels[:] = noise.integers(0, 256, frame.pixels.shape)
            sink.write(frame, make_result())
        with pytest.raises(SinkError, match=r"out\.mp4 could not be written whole"):
            sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"older"


def test_full_disk_stops_the_run(tmp_path, make_frame, make_result, monkeypatch):
    """Hours of video are not computed for a disk that is full already."""
    sink = VideoSink(tmp_path / "out.mp4", None)
    monkeypatch.setattr(video, "shutil", SimpleNamespace(disk_usage=lambda folder: shutil.disk_usage(folder)._replace(free=1000)))

    with pytest.raises(SinkError, match="the disk is full"):
        sink.write(make_frame(), make_result())
    sink.close()


def test_build_without_an_encoder_is_an_error(tmp_path, make_frame, make_result, monkeypatch):
    """Where OpenCV cannot open the writer, the message leads to the doctor and to pictures."""
    closed = SimpleNamespace(isOpened=lambda: False)
    monkeypatch.setattr(video, "opencv", lambda: SimpleNamespace(VideoWriter=lambda *_: closed, VideoWriter_fourcc=lambda *_: 0))

    with VideoSink(tmp_path / "out.mp4", None) as sink, pytest.raises(SinkError, match=r"may lack a video encoder.*edgeseg doctor"):
        sink.write(make_frame(), make_result())


def test_sink_without_frames_writes_nothing(tmp_path):
    """No frame, no file; closing twice is fine."""
    sink = VideoSink(tmp_path / "out.mp4", None)
    sink.close()
    sink.close()

    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_found_out_at_once(tmp_path):
    """The sink checks its place when it is made, and the message has the command that helps."""
    with pytest.raises(SinkError, match=r"mkdir -p .*missing"):
        VideoSink(tmp_path / "missing" / "out.mp4", None)
