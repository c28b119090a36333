"""What the verbs are tried on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.opencv import opencv
from tests.bundles import tiny_bundle


@pytest.fixture(scope="session")
def shared_bundle(tmp_path_factory) -> Path:
    """A real bundle that finds the same two things above 0.3, and one below, in every picture."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def bundle(shared_bundle, tmp_path) -> Path:
    """A copy of that bundle that a test may damage."""
    return Path(shutil.copytree(shared_bundle, tmp_path / "bundle"))


@pytest.fixture
def picture(tmp_path) -> Path:
    """A grey picture of 80x60."""
    path = tmp_path / "picture.png"
    opencv().imwrite(str(path), np.full((60, 80, 3), 90, np.uint8))
    return path
