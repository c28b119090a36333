"""The recipes by name."""

from __future__ import annotations

import difflib

from edgeseg.errors import UsageError

from ..nets.config import YolactConfig
from .yolact import CONFIGS

RECIPES: dict[str, YolactConfig] = {config.name: config for config in CONFIGS}


def recipe(name: str) -> YolactConfig:
    """The recipe called `name`; raises UsageError with the nearest names when there is none."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`edgeseg export --list` prints all recipes"
    raise UsageError(f"there is no recipe {name!r}; {hint}")
