"""What is known of the original nets, read from tests/data/yolact."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from export.nets.config import YolactConfig
from export.nets.yolact import Yolact
from export.recipes import RECIPES
from tests.fill_weights import fill_state_dict

DATA = Path(__file__).parents[2] / "data" / "yolact"
OFFICIAL = tuple(name for name in RECIPES if name != "yolact_demo")


@functools.cache
def _manifests() -> dict[str, dict[str, list[int]]]:
    return json.loads(gzip.decompress((DATA / "manifests.json.gz").read_bytes()))


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Official parameter names and shapes of a configuration."""
    return {key: tuple(shape) for key, shape in _manifests()[name].items()}


def yolact_names(state: dict[str, Any]) -> dict[str, Any]:
    """The same entries with YolactEdge's split pyramid under YOLACT's names."""
    return {key.replace("fpn_phase_1.", "fpn.").replace("fpn_phase_2.", "fpn."): value for key, value in state.items()}


def golden(name: str, picture: str) -> dict[str, Any]:
    """What the original code computed for a configuration on a picture."""
    return json.loads((DATA / f"{name}__{picture}.json").read_text())


def filled_net(config: YolactConfig) -> Yolact:
    """The evaluation-mode net of an official configuration with the filler weights."""
    with torch.device("meta"):
        net = Yolact(config)
    net.load_state_dict(yolact_names(fill_state_dict(manifest(config.name))), assign=True)
    return net.eval()


def resized_picture(picture: str, size: int) -> Tensor:
    """float32 (1, size, size, 3) BGR, resized in float as the original code does."""
    pixels = cv2.imread(str(DATA / f"{picture}.png")).astype(np.float32)
    return torch.from_numpy(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)).unsqueeze(0)
