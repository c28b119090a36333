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
        return Library(
            applications=importlib.import_module("starlette.applications"),
            responses=importlib.import_module("starlette.responses"),
            routing=importlib.import_module("starlette.routing"),
            uvicorn=importlib.import_module("uvicorn"),
        )
    except ImportError as error:
        raise MissingDependencyError.for_extra("Starlette with Uvicorn", "web", error) from error
