"""Questions about names that a user gave, which may be no names of files at all, as a long pipeline.

Unlike those of `pathlib`, they are answered with False where a name is too long or may not be looked at.
"""

from __future__ import annotations

import os

Name = str | os.PathLike[str]


def is_there(name: Name) -> bool:
    """Whether there is a file, a folder or anything else of that name."""
    return os.path.exists(name)  # noqa: PTH110


def is_file(name: Name) -> bool:
    """Whether it is a file, or a link to one."""
    return os.path.isfile(name)  # noqa: PTH113


def is_folder(name: Name) -> bool:
    """Whether it is a folder, or a link to one."""
    return os.path.isdir(name)  # noqa: PTH112
