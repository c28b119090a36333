"""Fixtures that tests of any part may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def command_path() -> str:
    """A PATH on which ``edgeseg`` is the command of the environment that runs the tests."""
    folder = Path(sys.executable).parent
    assert (folder / "edgeseg").is_file(), "install the checkout first: see README.md, 'Run the tests'"
    return os.pathsep.join([str(folder), os.environ.get("PATH", "")])
