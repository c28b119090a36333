"""Starlette and Uvicorn, or what to install."""

from __future__ import annotations

import sys

import pytest

from edgeseg.errors import MissingDependencyError
from edgeseg.sinks.web.library import library


@pytest.mark.parametrize("name", ["starlette.routing", "uvicorn"])
def test_absent_package_names_the_extra(monkeypatch, name):
    """One message with the command that brings it."""
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'edgeseg\[web\]'"):
        library()
