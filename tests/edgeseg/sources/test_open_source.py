"""Which source opens what the user named."""

from __future__ import annotations

import pytest

from edgeseg.errors import SourceError, UsageError
from edgeseg.sources import OPENERS, LiveSettings, open_source
from edgeseg.sources.settings import FOREVER
from edgeseg.sources.synthetic import SyntheticSource


@pytest.mark.parametrize("text", ["http://admin:hush@host/a.mp4", " rtsp://admin:hush@host/a", "ftp://host/hush@"])
def test_other_schemes_say_what_can_be_given(text):
    """What is read from no network is refused with what is, and without the password."""
    with pytest.raises((UsageError, SourceError), match=r"Give .*rtsp://") as caught:
        open_source(text)

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("0", FOREVER), ("csi://0", FOREVER), ("rtsp://host/a", FOREVER), ("a ! appsink", 0)])
def test_how_often_a_lost_source_is_tried_again_depends_on_its_kind(monkeypatch, text, expected):
    """For ever with cameras and streams, never with pipelines, whose end may be meant; unless the user says."""
    seen = []
    monkeypatch.setattr("edgeseg.sources.open_live", lambda _capture, settings: seen.append(settings.reconnect))
    monkeypatch.setattr("edgeseg.sources.gstreamer.build_has", lambda _feature: True)
    open_source(text)
    open_source(text, LiveSettings(reconnect=3))

    assert seen == [expected, 3]


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
        ("rtsp://a", "rtsp"),
        ("csi://0", "csi"),
        ("v4l2src ! appsink", "gstreamer"),
        ("rtspsrc location=rtsp://a ! appsink", "gstreamer"),
        ("DIR", "folder"),
        ("DIR/a.jpg", "picture"),
        ("DIR/a.mp4", "video"),
        ("DIR/a ! b.mp4", "video"),
        (f"videotestsrc ! {'identity ! ' * 500}appsink", "gstreamer"),
    ],
)
def test_first_match_in_the_table(tmp_path, text, name):
    """Each kind of name is taken by its own source."""
    for file in ("a.jpg", "a.mp4", "a ! b.mp4"):
        (tmp_path / file).write_bytes(b"")
    text = text.replace("DIR", str(tmp_path))

    assert next(opener.name for opener in OPENERS if opener.matches(text)) == name
