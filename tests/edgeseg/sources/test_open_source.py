"""Which source opens what the user named."""

from __future__ import annotations

import pytest

from edgeseg.errors import SourceError, UsageError
from edgeseg.sources import OPENERS, open_source
from edgeseg.sources.synthetic import SyntheticSource


@pytest.mark.parametrize("text", ["rtsp://host/stream", "csi://0", "http://host/a.mp4", "v4l2src ! videoconvert ! appsink"])
def test_stream_that_is_not_read_yet_says_what_is(text):
    """Network, Jetson and GStreamer streams are wrong usage for now, and the message names what can be given."""
    with pytest.raises(UsageError, match=r"not supported yet.*video file"):
        open_source(text)


def test_name_of_nothing_is_an_error():
    """A name that belongs to no file is an error with that name in it."""
    with pytest.raises(SourceError, match=r"no file or folder 'missing\.mp4'"):
        open_source("missing.mp4")


def test_synthetic_text_opens_that_scene():
    """``synthetic:`` goes to the synthetic source with its options."""
    with open_source("synthetic:seed=7,frames=3,size=64x48") as source:
        assert isinstance(source, SyntheticSource)
        assert (source.info.frame_count, source.info.image_hw) == (3, (48, 64))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("synthetic:", "synthetic"),
        ("0", "camera"),
        ("/dev/video1", "camera"),
        ("rtsp://a", "planned"),
        ("DIR", "folder"),
        ("DIR/a.jpg", "picture"),
        ("DIR/a.mp4", "video"),
    ],
)
def test_first_match_in_the_table(tmp_path, text, name):
    """Each kind of name is taken by its own source."""
    for file in ("a.jpg", "a.mp4"):
        (tmp_path / file).write_bytes(b"")
    text = text.replace("DIR", str(tmp_path))

    assert next(opener.name for opener in OPENERS if opener.matches(text)) == name
