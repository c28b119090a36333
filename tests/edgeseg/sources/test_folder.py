"""Folders of pictures: order, what is skipped, and empty ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.opencv import opencv
from edgeseg.sources import open_source
from edgeseg.sources.folder import natural_key


def test_pictures_come_in_natural_order_and_the_rest_is_skipped(tmp_path):
    """frame2 comes before frame10; text, hidden files and folders do not come at all."""
    for name, size in (("frame10.png", 4), ("frame2.JPG", 5), ("frame1.png", 6)):
        opencv().imwrite(str(tmp_path / name), np.zeros((size, 3, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._frame1.png").write_bytes(b"metadata")
    (tmp_path / "folder.png").mkdir()

    with open_source(tmp_path) as source:
        frames = list(source)

    assert [frame.stream for frame in frames] == ["frame1.png", "frame2.JPG", "frame10.png"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.image_hw for frame in frames] == [(6, 3), (5, 3), (4, 3)]
    assert (source.info.frame_count, source.info.image_hw) == (3, None)
    assert (source.info.pictures, source.info.holds_pictures) == (("frame1.png", "frame2.JPG", "frame10.png"), True)


@pytest.mark.parametrize("names", [["a2", "a10", "b1"], ["1", "a"], ["2", "10"], ["A1", "a2"], ["x3", "x²"]])
def test_natural_key_orders_numbers_by_value(names):
    """Numbers inside names count by value, letters without case."""
    backwards = names[::-1]

    assert sorted(backwards, key=natural_key) == names


def test_folder_without_pictures_is_an_error(tmp_path):
    """A folder that holds only other things is an error that says so."""
    (tmp_path / "notes.txt").write_text("not a picture")

    with pytest.raises(SourceError, match="holds no pictures"):
        open_source(tmp_path)


def test_damaged_picture_in_a_folder_stops_with_its_name(tmp_path):
    """A damaged picture among good ones is not passed over in silence."""
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")

    with open_source(tmp_path) as source, pytest.raises(SourceError, match=r"broken\.jpg"):
        list(source)
