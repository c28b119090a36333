"""Whether an output can be written where the user wants it, found out before anything is computed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from edgeseg.errors import SinkError
from edgeseg.paths import is_file, is_folder, is_there


def check_file(path: Path) -> None:
    """Raise unless a file can be written at ``path``. Nothing is left behind and an existing file stays as it is.

    Raises:
        SinkError: it is a folder, its folder does not exist, or one of them may not be written.
    """
    if is_folder(path):
        raise SinkError(f"{path} is a folder. Give the name of a file in it.")
    if is_there(path) and not os.access(path, os.W_OK):
        raise SinkError(f"{path} exists and may not be written. Choose another name.")
    if is_there(path) and not is_file(path):
        return  # a device or a pipe: nothing is created beside it
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raise unless files can be created in ``folder``.

    Raises:
        SinkError: it does not exist, is no folder, or may not be written.
    """
    if not is_there(folder):
        raise SinkError(f"the folder {folder} does not exist. Create it with: mkdir -p {folder}")
    if not is_folder(folder):
        raise SinkError(f"{folder} is a file, not a folder. Choose another place for the output.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SinkError(f"no file can be created in {folder}: {error.strerror or error}. Choose another place for the output.") from error


def make_folder(folder: Path) -> None:
    """Make a folder whose parent exists; one that is there is fine.

    Raises:
        SinkError: it cannot be made.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all of it to an unbuffered stream, which may take less at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def encoded(json_text: str) -> bytes:
    """JSON as UTF-8. What a name holds that is none, an escape stands for."""
    return json_text.encode(errors="backslashreplace")


def write_error(path: Path, error: OSError) -> SinkError:
    """What to raise when writing failed half way."""
    return SinkError(f"{path} cannot be written: {error.strerror or error}. Free some space or choose another place for the output.")
