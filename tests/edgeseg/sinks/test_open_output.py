"""Which sink writes what ``--out`` names."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from edgeseg.sinks import open_output
from edgeseg.sinks.picture import FolderSink, PictureSink
from edgeseg.sinks.video import VideoSink


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", VideoSink),
        ("a.MOV", VideoSink),
        ("a.png", PictureSink),
        ("a.JPG", PictureSink),
        ("new", FolderSink),
        ("new.v2/", FolderSink),
        ("", FolderSink),
    ],
)
def test_ending_decides(tmp_path, name, kind):
    """Videos and pictures are told by their ending; no ending, a slash or an existing folder mean a folder."""
    assert type(open_output(f"{tmp_path}/{name}", fps=None, frame_count=1)) is kind


def test_folder_names_follow_the_source(tmp_path, make_frame, make_result):
    """Pictures keep their names; frames of videos and cameras are numbered."""
    for keep_names, expected in ((True, "a.png"), (False, "000000.png")):
        folder = tmp_path / f"{keep_names}"
        with open_output(f"{folder}/", fps=None, frame_count=2, keep_names=keep_names) as sink:
            sink.write(make_frame(stream="a.png"), make_result())

        assert [path.name for path in folder.iterdir()] == [expected]


@pytest.mark.parametrize("name", ["a.avi", "a.txt", "a.jsonl"])
def test_unknown_ending_is_wrong_usage(tmp_path, name):
    """The message lists the endings that can be written."""
    with pytest.raises(UsageError, match=r"\.mov, \.mp4, \.bmp, .* or a folder"):
        open_output(str(tmp_path / name), fps=None, frame_count=1)
