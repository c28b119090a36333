"""The one place that imports Starlette and Uvicorn."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from edgeseg.errors import MissingDependencyError


@dataclass(frozen=True)
class Library:
    """Their modules."""

    applications: Any
    responses: Any
    routing: Any
    uvicorn: Any


def library() -> Library:
    """Starlette and Uvicorn.

    Raises:
        MissingDependencyError: one of them is absent or does not load.
    """
    try:
        names = ("starlette.applications", "starlette.responses", "starlette.routing", "uvicorn")
        return Library(*(importlib.import_module(name) for name in names))
    except ImportError as error:
        raise MissingDependencyError.for_extra("Starlette with Uvicorn", "web", error) from error
