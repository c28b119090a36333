"""What is known of the original nets, read from tests/data/yolact."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from export.nets.yolact import Yolact
from export.recipes import RECIPES
from export.recipes.base import Recipe
from export.recipes.yolact import YolactRecipe
from tests.fill_weights import fill_state_dict

DATA = Path(__file__).parents[2] / "data" / "yolact"
OFFICIAL = tuple(name for name in RECIPES if not name.startswith("yolact_demo"))

T = TypeVar("T")


@functools.cache
def _manifests() -> dict[str, dict[str, list[int]]]:
    return json.loads(gzip.decompress((DATA / "manifests.json.gz").read_bytes()))


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Official parameter names and shapes of a configuration."""
    return {key: tuple(shape) for key, shape in _manifests()[name].items()}


def own_names(recipe: Recipe, state: Mapping[str, T]) -> dict[str, T]:
    """The entries that a recipe's net has, under its own names."""
    return {own: value for key, value in state.items() if (own := recipe.canonical_key(key))}


def golden(name: str, picture: str) -> dict[str, Any]:
    """What the original code computed for a configuration on a picture."""
    return json.loads((DATA / f"{name}__{picture}.json").read_text())


def filled_net(recipe: YolactRecipe) -> Yolact:
    """The evaluation-mode net of an official configuration with the filler weights."""
    with torch.device("meta"):
        net = recipe.build_net()
    net.load_state_dict(own_names(recipe, fill_state_dict(manifest(recipe.name))), assign=True)
    return net.eval()


def resized_picture(picture: str, size: int) -> Tensor:
    """float32 (1, size, size, 3) BGR, resized in float as the original code does."""
    pixels = cv2.imread(str(DATA / f"{picture}.png")).astype(np.float32)
    return torch.from_numpy(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)).unsqueeze(0)
