"""What is known of torchvision's Mask R-CNN, read from tests/data/maskrcnn, and the made-up inputs of its parts."""

from __future__ import annotations

import functools
import gzip
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.fill_rcnn import OVERRIDES, fill_rcnn
from benchmarks.fill_weights import normal, uniform
from edgeseg.types import Label, SizeHW
from export.nets.rcnn.config import RcnnConfig, level_sizes
from export.nets.rcnn.net import Proposed, Rcnn
from export.recipes import RECIPES
from export.recipes.base import ExportOptions, configured
from export.recipes.maskrcnn import RcnnRecipe
from tests.export.nets.facts import DATA as PICTURES

DATA = Path(__file__).parents[3] / "data" / "maskrcnn"
PARTS = RcnnConfig("parts", tuple(Label(str(number), number) for number in range(1, 91)), blocks=(3, 4, 6, 3))
"""What the stand-alone results were computed with."""


@functools.cache
def _manifests() -> dict[str, Any]:
    return json.loads(gzip.decompress((DATA / "manifests.json.gz").read_bytes()))


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """torchvision's parameter names and shapes of a model; ``<model>__old_names`` as older releases saved it."""
    return {key: tuple(shape) for key, shape in _manifests()[name].items()}


def class_names() -> list[str]:
    """torchvision's names of its 91 classes, the background first."""
    return _manifests()["labels"]


@functools.cache
def golden(name: str, case: str) -> dict[str, Any]:
    """What torchvision computed for a model on a picture, ``<picture>_<shorter side>``."""
    return json.loads(gzip.decompress((DATA / f"{name}__{case}.json.gz").read_bytes()))


def standalone(part: str) -> dict[str, Any]:
    """What one part of torchvision gave."""
    with np.load(DATA / f"standalone_{part}.npz") as file:
        return dict(file)


def filled_weights(name: str) -> dict[str, Tensor]:
    """The weights of the goldens under the names of a manifest."""
    return fill_rcnn(manifest(name), OVERRIDES[name])


def old_names(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of a first-generation model as its published file names them: both lists are in one order."""
    return dict(zip(manifest(f"{name}__old_names"), weights.values(), strict=True))


def final(name: str, case: str) -> list[dict[str, Any]]:
    """A golden's detections as `tests.goldens.match` takes them."""
    found = golden(name, case)
    columns = (found[column] for column in ("labels", "scores", "boxes", "mask_rle_gt_0.5"))
    return [{"class": label - 1, "score": score, "box": box, "rle": rle} for label, score, box, rle in zip(*columns, strict=True)]


def filled_net(name: str) -> Rcnn:
    """The evaluation-mode net of an official recipe with the weights of the goldens."""
    with torch.device("meta"):
        net = RECIPES[name].build_net()
    counters = {key: torch.zeros((), dtype=torch.int64) for key in net.state_dict() if key.endswith("num_batches_tracked")}
    net.load_state_dict(counters | filled_weights(name), assign=True)
    return net.eval().requires_grad_(False)


def options_for(name: str, case: str, **others: Any) -> ExportOptions:
    """How a recipe is exported for the frames and the scale of a golden."""
    wanted = golden(name, case)
    size = (wanted["min_size"], wanted["max_size"])
    return ExportOptions("float32", size=size, frame=tuple(wanted["orig_hw"]), **others)


def recipe_for(name: str, options: ExportOptions) -> RcnnRecipe:
    """An official recipe, configured."""
    recipe = configured(RECIPES[name], options)
    assert isinstance(recipe, RcnnRecipe)
    return recipe


def resized_picture(case: str, size_hw: SizeHW) -> Tensor:
    """A golden's picture, float32 (1, h, w, 3) BGR."""
    pixels = cv2.imread(str(PICTURES / f"{case.split('_', maxsplit=1)[0]}.png")).astype(np.float32)
    return torch.from_numpy(cv2.resize(pixels, size_hw[::-1], interpolation=cv2.INTER_LINEAR))[None]


def error_in_std(expected: Mapping[str, Any], actual: Tensor) -> float:
    """The largest difference from a golden tensor's samples, over that tensor's standard deviation; infinite where the shape differs."""
    if list(actual.shape) != expected["shape"]:
        return float("inf")
    samples = actual.flatten()[expected["sample_index"]].double().numpy()
    return float(np.abs(samples - expected["sample"]).max() / expected["std"])


def made_up(name: str, *shape: int, scale: float = 1.0) -> Tensor:
    """Nearly normal float32 numbers."""
    return torch.from_numpy((scale * normal(name, math.prod(shape))).astype(np.float32).reshape(shape))


def spread(name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """Evenly distributed float32 numbers."""
    return torch.from_numpy(uniform(name, math.prod(shape), low, high).astype(np.float32).reshape(shape))


def proposed(tag: str, size_hw: SizeHW) -> list[Proposed]:
    """The RPN's made-up word on each level: some widths collapse, some heights are cut."""
    levels = []
    for level, (rows, columns) in enumerate(level_sizes(size_hw)):
        logits = made_up(f"rpn.{tag}.o{level}", 1, 3, rows, columns, scale=2.5)
        offsets = made_up(f"rpn.{tag}.d{level}", 1, 12, rows, columns, scale=0.5)
        if level == 0:
            offsets[:, 2] -= 14
        if level == 1:
            offsets[:, 3] += 5
        levels.append(Proposed(logits.permute(0, 2, 3, 1).flatten(1), offsets.permute(0, 2, 3, 1).reshape(1, -1, 4)))
    return levels


def rois(tag: str, count: int, size_hw: SizeHW) -> Tensor:
    """Made-up proposals (count, 4), the last third jittered copies of the first."""
    height, width = size_hw
    centre = spread(f"post.{tag}.c", (count, 2), 0, 1) * torch.tensor([width, height])
    side = torch.exp(spread(f"post.{tag}.s", (count, 2), math.log(8), math.log(400)))
    boxes = torch.cat([centre - side / 2, centre + side / 2], dim=1)
    boxes[:, 0::2].clamp_(0, width)
    boxes[:, 1::2].clamp_(0, height)
    copies = count // 3
    boxes[-copies:] = boxes[:copies] + made_up(f"post.{tag}.j", copies, 4, scale=4.0)
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 0.5)
    return boxes


def predicted(tag: str, count: int, background: float) -> tuple[Tensor, Tensor]:
    """Made-up class logits (count, 91) and offsets (count, 91, 4) for them."""
    logits = made_up(f"post.{tag}.l", count, 91, scale=2.0)
    logits[:, 0] += background
    copies = count // 3
    logits[-copies:] = logits[:copies] + made_up(f"post.{tag}.lj", copies, 91, scale=0.5)
    return logits, made_up(f"post.{tag}.r", count, 364, scale=0.7).reshape(count, 91, 4)
