"""Whether a file is still the one that it was."""

from __future__ import annotations

import os

import pytest

from edgeseg.batch.fingerprint import Fingerprint


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    os.utime(path, ns=(1, 1))
    return path


def test_file_that_nobody_touched_fits_without_being_read(file):
    """Size and time are enough: the hash is not looked at."""
    seen = Fingerprint(10, 1, "no hash")

    assert seen.untouched(file)
    assert seen.fits(file)


def test_file_with_another_time_fits_if_its_bytes_are_the_same(file):
    """A copy of an archive has new times."""
    seen = Fingerprint.of(file)
    os.utime(file, ns=(2, 2))

    assert not seen.untouched(file)
    assert seen.fits(file)


@pytest.mark.parametrize("content", [b"some bytez", b"some more bytes"])
def test_file_with_other_bytes_does_not_fit(file, content):
    """Of the same length or not."""
    seen = Fingerprint.of(file)
    file.write_bytes(content)

    assert not seen.untouched(file)
    assert not seen.fits(file)
