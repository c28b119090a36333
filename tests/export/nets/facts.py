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

from benchmarks.fill_weights import fill_state_dict
from edgeseg.types import U8Array
from export.nets.yolact import Yolact
from export.recipes.base import Recipe
from export.recipes.yolact import CONFIGS, YolactRecipe

DATA = Path(__file__).parents[2] / "data" / "yolact"
OFFICIAL = tuple(entry.name for entry in CONFIGS if not entry.name.startswith("yolact_demo"))

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


def video_golden(name: str) -> dict[str, Any]:
    """What the original code computed for a video configuration on the frames of `video_frame`; 0 and 5 are key frames."""
    return json.loads(gzip.decompress((DATA / f"{name}__astronaut_pan.json.gz").read_bytes()))


def video_frame(index: int) -> U8Array:
    """Frame ``index`` of a clip in which the camera turns, uint8 (448, 448, 3) BGR."""
    y, x = 4 * index, 6 * index
    return np.ascontiguousarray(cv2.imread(str(DATA / "astronaut.png"))[y : y + 448, x : x + 448])


def filled_net(recipe: YolactRecipe) -> Yolact:
    """The evaluation-mode net of an official configuration with the filler weights."""
    with torch.device("meta"):
        net = recipe.build_net()
    net.load_state_dict(own_names(recipe, fill_state_dict(manifest(recipe.name))), assign=True)
    return net.eval()


def resized_picture(picture: str, size: int) -> Tensor:
    """A picture of the test data as the original code resizes it, float32 (1, size, size, 3) BGR."""
    return resized(cv2.imread(str(DATA / f"{picture}.png")), size)


def resized(pixels: U8Array, size: int) -> Tensor:
    """float32 (1, size, size, 3), resized in float as the original code does."""
    resized = cv2.resize(pixels.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(resized).unsqueeze(0)


def error_in_std(expected: Mapping[str, Any], actual: Tensor) -> float:
    """The largest difference from a golden tensor's samples, over that tensor's standard deviation; infinite where the shape differs."""
    if list(actual.shape) != expected["shape"]:
        return float("inf")
    samples = actual.flatten()[expected["idx"]].double().numpy()
    return float(np.abs(samples - expected["val"]).max() / expected["std"])
