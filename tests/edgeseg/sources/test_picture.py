"""Pictures of every kind come in as BGR, and files that are none give an error."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.opencv import PICTURE_PIXELS_MAX, opencv
from edgeseg.sources import open_source
from edgeseg.sources.picture import read_picture

RANDOM = np.random.default_rng(3)


def saved(path: Path, pixels: np.ndarray) -> Path:
    assert opencv().imwrite(str(path), pixels)
    return path


def png_that_claims(width: int, height: int) -> bytes:
    """A small PNG file whose header promises a picture of that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_colour_picture_comes_back_unchanged(tmp_path):
    """A PNG gives exactly its pixels, in one frame that carries the file's name."""
    pixels = RANDOM.integers(0, 256, (7, 5, 3), np.uint8)

    with open_source(saved(tmp_path / "a.PNG", pixels)) as source:
        frames = list(source)

    assert len(frames) == 1
    assert np.array_equal(pixels, frames[0].pixels)
    assert (frames[0].index, frames[0].stream, frames[0].time_s) == (0, "a.PNG", 0.0)
    assert (source.info.frame_count, source.info.image_hw, source.info.fps) == (1, (7, 5), None)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(np.full((2, 3), 77, np.uint8), [77, 77, 77], id="grey"),
        pytest.param(np.full((2, 3, 4), (10, 20, 30, 0), np.uint8), [10, 20, 30], id="alpha is dropped, not blended"),
        pytest.param(np.full((2, 3, 3), (0x0A00, 0x14FF, 0x1E80), np.uint16), [0x0A, 0x14, 0x1E], id="16 bit keeps the upper 8"),
        pytest.param(np.full((1, 1, 3), (1, 2, 3), np.uint8), [1, 2, 3], id="1x1"),
    ],
)
def test_other_kinds_become_8_bit_bgr(tmp_path, stored, expected):
    """Grey, alpha and 16 bit pictures and a picture of one pixel all become uint8 (H, W, 3)."""
    pixels = read_picture(saved(tmp_path / "a.png", stored))

    assert pixels.dtype == np.uint8
    assert pixels.shape == (*stored.shape[:2], 3)
    assert pixels[0, 0].tolist() == expected


def test_exif_orientation_is_applied(tmp_path):
    """A JPEG that a camera held upright has stored sideways is turned upright."""
    path = saved(tmp_path / "a.jpg", np.zeros((16, 32, 3), np.uint8))
    turned_90 = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(turned_90) + 2) + turned_90 + data[2:])

    assert read_picture(path).shape == (32, 16, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is an empty file"), (b"no picture at all", "damaged"), (png_that_claims(50, 50), "damaged")],
    ids=["empty", "text", "cut off"],
)
def test_damaged_picture_is_an_error_that_names_it(tmp_path, content, message):
    """A file with a picture's name that holds none is an error, already when it is opened."""
    path = tmp_path / "bad.png"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=f"bad.png.*{message}"):
        open_source(path)


def test_unreadable_picture_is_an_error(tmp_path):
    """What the system refuses to read is reported with the system's reason."""
    with pytest.raises(SourceError, match=r"cannot be read: Is a directory"):
        read_picture(tmp_path)


def test_decompression_bomb_is_refused(tmp_path):
    """A small file that claims more pixels than allowed is refused before memory is taken for them."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(1 << 15, (PICTURE_PIXELS_MAX >> 15) + 1))
    script = "import sys, edgeseg\ntry: edgeseg.open_source(sys.argv[1])\nexcept edgeseg.SourceError as error: print(error)"

    # In a process of its own: OpenCV takes its limit from the environment once, when it is first imported.
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)

    assert "more than 268,435,456 pixels" in done.stdout
