"""Annotated pictures: one file, or a folder of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.draw import annotate
from edgeseg.errors import SinkError, UsageError
from edgeseg.sinks.picture import FolderSink, PictureSink, write_picture
from edgeseg.sources.picture import read_picture


def test_picture_is_the_annotated_frame(tmp_path, make_frame, make_result):
    """A PNG holds exactly the annotated pixels."""
    with PictureSink(tmp_path / "out.png", frame_count=1) as sink:
        sink.write(make_frame(), make_result())

    assert np.array_equal(annotate(make_frame().pixels, make_result()), read_picture(tmp_path / "out.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("frame_count", [2, None])
def test_one_picture_for_many_frames_is_wrong_usage(tmp_path, frame_count):
    """A video or camera does not go into one picture; the message says what does."""
    with pytest.raises(UsageError, match=r"--out out\.mp4"):
        PictureSink(tmp_path / "out.png", frame_count)


def test_folder_keeps_the_names_of_pictures(tmp_path, make_frame, make_result):
    """Annotated pictures are called like their originals; formats without colour or encoder gain .png."""
    with FolderSink(tmp_path / "new", keep_names=True) as sink:
        for index, name in enumerate(("a.png", "b.JPG", "c.pgm", "c.png")):
            sink.write(make_frame(index, stream=name), make_result(index=index))

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.JPG", "c.pgm.png", "c.png"]


def test_folder_numbers_the_frames_of_a_video(tmp_path, make_frame, make_result):
    """Frames of a stream are named by their index, so that gaps show."""
    with FolderSink(tmp_path, keep_names=False) as sink:
        for index in (0, 2):
            sink.write(make_frame(index), make_result(index=index))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.png", "000002.png"]


def test_sizes_may_differ(tmp_path, make_frame, make_result):
    """Unlike a video, a folder takes pictures of any size."""
    with FolderSink(tmp_path, keep_names=False) as sink:
        sink.write(make_frame(0, hw=(1, 1)), make_result([], hw=(1, 1)))
        sink.write(make_frame(1), make_result())

    assert read_picture(tmp_path / "000000.png").shape == (1, 1, 3)
    assert read_picture(tmp_path / "000001.png").shape == (96, 128, 3)


def test_full_disk_is_an_error_and_leaves_an_older_picture(tmp_path, make_frame, file_size_limit):
    """A picture that does not fit on the disk does not replace a whole one."""
    path = tmp_path / "out.bmp"
    path.write_bytes(b"older")

    with file_size_limit(1000), pytest.raises(SinkError, match=r"out\.bmp cannot be written"):
        write_picture(path, make_frame().pixels)
    assert path.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["out.bmp"]


@pytest.mark.parametrize("place", ["missing/new", "file", "file/new"])
def test_folder_that_cannot_be_made_is_found_out_at_once(tmp_path, place):
    """The parent must exist and nothing else may have the name."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkError, match=r"does not exist|is a file"):
        FolderSink(tmp_path / place, keep_names=True)


def test_unknown_format_is_an_error(tmp_path, make_frame):
    """What OpenCV cannot encode is an error with a format that works."""
    with pytest.raises(SinkError, match=r"such as \.png"):
        write_picture(tmp_path / "out.xyz", make_frame().pixels)
