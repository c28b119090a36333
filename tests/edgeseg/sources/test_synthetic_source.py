"""The synthetic source as a stream of frames, and the strings that name it."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import UsageError
from edgeseg.sources.synthetic import SceneConfig, SyntheticSource, parse

SMALL = (96, 128)


def test_source_gives_the_frames_in_order() -> None:
    """The source yields as many frames as asked for, with their times; what it knows before reading agrees."""
    with SyntheticSource(parse("synthetic:seed=7,frames=3,size=128x96,fps=20")) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time_s for frame in frames] == [0.0, 0.05, 0.1]
    assert all(frame.image_hw == SMALL == source.image_hw == source.info.image_hw for frame in frames)
    assert source.frame_count == source.info.frame_count == 3
    assert source.fps == source.info.fps == 20
    assert frames[0].stream == source.info.name == "synthetic:seed=7"
    assert np.array_equal(frames[2].pixels, source.scene.render(2))


def test_closing_ends_the_iteration() -> None:
    """A closed source hands out no further frame."""
    source = SyntheticSource(SceneConfig(size_hw=SMALL))
    frames = iter(source)
    next(frames)
    source.close()
    assert next(frames, None) is None


def test_parse() -> None:
    """What is left out keeps its default; size is width times height."""
    assert parse("synthetic:") == SceneConfig()
    assert parse("synthetic:seed=7, frames=90,size=320x200,fps=29.97") == SceneConfig(7, (200, 320), 90, 29.97)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("synthetic:sead=7", "'sead=7'.*seed=7, frames=90, size=640x360, fps=30"),
        ("synthetic:seed", "'seed'.*seed=7"),
        ("synthetic:seed=7,", "''.*seed=7"),
        ("synthetic:seed=x", "'x'.*seed.*seed=7"),
        ("synthetic:seed=-1", "seed is -1.*0 or more"),
        ("synthetic:seed=1,seed=2", "seed is given twice"),
        ("synthetic:size=640", "'640'.*size.*size=640x360"),
        ("synthetic:size=640x8", r"size is \(640, 8\).*32 to 8192"),
        ("synthetic:frames=0", "frames is 0.*1 or more"),
        ("synthetic:fps=0", "fps is 0.*above 0"),
        ("synthetic:fps=nan", "fps is nan.*above 0"),
    ],
)
def test_parse_names_what_is_wrong(text: str, named: str) -> None:
    """The error says which option cannot be used and what is allowed."""
    with pytest.raises(UsageError, match=named):
        parse(text)


def test_config_refuses_impossible_objects() -> None:
    """The smallest number of objects cannot be above the largest."""
    with pytest.raises(UsageError, match=r"objects is \(5, 2\)"):
        SceneConfig(min_objects=5, max_objects=2)
