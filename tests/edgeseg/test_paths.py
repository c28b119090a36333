"""Questions about names."""

from __future__ import annotations

import os

import pytest

from edgeseg.paths import is_file, is_folder, is_there


def test_files_folders_and_what_is_not_there(tmp_path):
    """Texts and paths; of links what they lead to, and a device is neither file nor folder."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "astray").symlink_to(tmp_path / "none")

    names = (tmp_path, tmp_path / "file", str(tmp_path / "link"), os.devnull, tmp_path / "astray", tmp_path / "none")
    assert [is_there(name) for name in names] == [True, True, True, True, False, False]
    assert [is_file(name) for name in names] == [False, True, True, False, False, False]
    assert [is_folder(name) for name in names] == [True, False, False, False, False, False]


@pytest.mark.parametrize("name", ["a" * 300, "videotestsrc ! " + "identity ! " * 60 + "appsink", "a\0b", ""])
def test_text_that_is_no_name_is_nothing(name):
    """It is no error either."""
    assert [is_there(name), is_file(name), is_folder(name)] == [False] * 3
