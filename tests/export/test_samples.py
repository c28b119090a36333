"""The pictures that graphs are calibrated and compared on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import SourceError, UsageError
from edgeseg.sources.base import SourceInfo
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from export import samples as module
from export.samples import PICTURES, samples, shipped


def _folder(path: Path, count: int) -> Path:
    """Pictures whose grey is their number."""
    path.mkdir()
    for k in range(count):
        cv2.imwrite(str(path / f"{k:03}.png"), np.full((4, 6, 3), k, np.uint8))
    return path


def test_sixteen_real_pictures_come_with_the_exporter() -> None:
    """Eight and their mirror images, the second eight in the same order; reading them twice gives the same."""
    found = shipped()

    first, second = list(found), list(found)

    assert found.count == len(first) == 16
    assert found.name == "8 shipped pictures and their mirror images"
    for k in range(8):
        np.testing.assert_array_equal(first[8 + k].pixels, first[k].pixels[:, ::-1])
    files = sorted(PICTURES.glob("*.jpg"))
    np.testing.assert_array_equal(first[0].pixels, cv2.imread(str(files[0])))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))
    assert all(sample.truth is None and sample.pixels.flags.c_contiguous for sample in first)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (3, 3), (16, 16), (99, 16)])
def test_only_the_first_of_them(count: int, expected: int) -> None:
    """As many as there are, at most; the count says so before any is read."""
    few = shipped().first(count)

    assert few.count == expected
    assert len(list(few)) == expected
    assert few.first(2).count == min(2, expected)


def test_without_a_source_the_shipped_ones_are_taken() -> None:
    """No more than asked for."""
    assert samples(None, 4, held_out=True).count == 4
    assert samples(None, 32, held_out=False).count == 16


@pytest.mark.parametrize(
    ("there", "count", "expected"),
    [(5, 9, [0, 1, 2, 3, 4]), (5, 5, [0, 1, 2, 3, 4]), (5, 2, [0, 4]), (9, 3, [0, 4, 8]), (100, 5, [0, 24, 49, 74, 99]), (5, 1, [0])],
)
def test_pictures_of_a_folder_are_spread_over_it(tmp_path: Path, there: int, count: int, expected: list[int]) -> None:
    """From the first to the last, evenly; the same each time."""
    folder = _folder(tmp_path / "pictures", there)

    found = samples(str(folder), count, held_out=False)

    assert found.count == len(expected)
    assert found.name == f"{len(expected)} of {there} pictures of {folder}"
    for _ in range(2):
        assert [int(sample.pixels[0, 0, 0]) for sample in found] == expected


def test_one_picture_is_a_source(tmp_path: Path) -> None:
    """A file as well as a folder."""
    (found,) = samples(str(_folder(tmp_path / "pictures", 1) / "000.png"), 16, held_out=True)

    assert found.pixels.shape == (4, 6, 3)


def test_frames_of_a_video_are_spread_over_it(tmp_path: Path) -> None:
    """Of forty frames that grow brighter, four are read; the last is among them."""
    file = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for k in range(40):
        writer.write(np.full((48, 64, 3), 5 * k, np.uint8))
    writer.release()

    found = [float(sample.pixels.mean()) for sample in samples(str(file), 4, held_out=True)]

    np.testing.assert_allclose(found, [0, 65, 130, 195], atol=6)


@pytest.mark.parametrize(("held_out", "first"), [(False, 0), (True, HELD_OUT_FIRST_SEED + 1000)])
def test_made_up_scenes_have_their_truth(held_out: bool, first: int) -> None:
    """One frame each of scenes that training uses, to calibrate on, or that it never uses, to compare on."""
    found = samples("synthetic:", 2, held_out=held_out)
    read = list(found)

    assert (found.count, len(read)) == (2, 2)
    for k, sample in enumerate(read):
        scene = Scene(SceneConfig(seed=first + k))
        np.testing.assert_array_equal(sample.pixels, scene.frame(10).pixels)
        wanted = scene.truth(10).ground_truth(0.15)
        assert sample.truth is not None
        assert sample.truth.classes.tolist() == wanted.classes.tolist()
        assert all(np.array_equal(a, b) for a, b in zip(sample.truth.masks, wanted.masks, strict=True))


def test_a_source_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera has no frames to spread over; it is closed again."""
    closed = []

    class Camera:
        info = SourceInfo("camera", 30.0)

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *_: object) -> None:
            closed.append(True)

        def __iter__(self) -> Iterator[object]:
            pytest.fail("no frame is to be read")

    monkeypatch.setattr(module, "open_source", lambda _: Camera())

    with pytest.raises(UsageError, match="0 has no known end; give a folder of pictures, a video file or synthetic:"):
        samples("0", 16, held_out=True)
    assert closed == [True]


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Before any work is done."""
    with pytest.raises(SourceError, match="there is no file or folder"):
        samples(str(tmp_path / "none"), 16, held_out=True)
