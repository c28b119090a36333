"""A stand-in for a full disk."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int], None]]:
    """From the call on no file of this process grows beyond so many bytes; lifted after the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal that would otherwise end the process, so writes fail as they do on a full disk.
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
