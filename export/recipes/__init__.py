"""The recipes by name."""

from __future__ import annotations

import difflib

from edgeseg.errors import UsageError

from .base import Recipe
from .detectron2 import CONFIGS as DETECTRON2
from .maskrcnn import CONFIGS as MASKRCNN
from .panoptic import CONFIGS as PANOPTIC
from .yolact import CONFIGS as YOLACT

RECIPES: dict[str, Recipe] = {entry.name: entry for entry in (*YOLACT, *MASKRCNN, *DETECTRON2, *PANOPTIC)}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; raises UsageError with the nearest names when there is none."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`edgeseg export --list` prints all recipes"
    raise UsageError(f"there is no recipe {name!r}; {hint}")
