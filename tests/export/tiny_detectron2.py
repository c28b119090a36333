"""A Mask R-CNN of detectron2 small enough for the plain reference, with weights under detectron2's own names."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np

from edgeseg.types import F32Array, Label
from export.nets.rcnn.config import DETECTRON2
from export.recipes.detectron2 import Detectron2Recipe
from tests.detectron2_reference import Settings

CLASSES = 3
TINY = Detectron2Recipe(
    "tiny_d2",
    tuple(Label(name, number) for number, name in enumerate(("cup", "bowl", "spoon"), start=1)),
    blocks=(2, 1, 1, 1),
    flavour=DETECTRON2,
    base_width=8,
    fpn_channels=8,
    box_channels=32,
    mask_channels=8,
    anchor_sides=(8.0, 16.0, 32.0, 64.0, 96.0),
    level_side=56.0,
    frame_hw=(90, 160),
    shorter=90,
    longer=150,
)
"""Frames of 90x160 become 84x150, so that P5 has odd sides and P6 cells are not 64 pixels apart where the padded picture ends."""
SETTINGS = Settings(anchor_sides=TINY.anchor_sides, proposals=40, detections=20, canonical_side=TINY.level_side)
_GAINS = {
    "conv3.norm.weight": 0.4,
    "stem.conv1.norm.weight": 0.02,
    "lateral2.weight": 0.1,
    "lateral3.weight": 0.1,
    "lateral4.weight": 0.1,
    "lateral5.weight": 0.2,
    "objectness_logits.weight": 1.5,
    "anchor_deltas.weight": 0.2,
    "cls_score.weight": 2.5,
    "bbox_pred.weight": 1.2,
    "predictor.weight": 3.0,
}


def shapes(recipe: Detectron2Recipe = TINY) -> dict[str, tuple[int, ...]]:
    """What a file of such a net holds."""
    classes, fpn, box, mask = len(recipe.labels), recipe.fpn_channels, recipe.box_channels, recipe.mask_channels
    found = _normed("backbone.bottom_up.stem.conv1", 3, recipe.base_width, 7)
    channels = recipe.base_width
    for stage, count in enumerate(recipe.blocks, start=2):
        width = recipe.base_width * 2 ** (stage - 2)
        for block in range(count):
            name = f"backbone.bottom_up.res{stage}.{block}."
            if block == 0:
                found |= _normed(f"{name}shortcut", channels, 4 * width, 1)
            found |= _normed(f"{name}conv1", channels, width, 1) | _normed(f"{name}conv2", width, width, 3)
            found |= _normed(f"{name}conv3", width, 4 * width, 1)
            channels = 4 * width
        found |= _biased(f"backbone.fpn_lateral{stage}", channels, fpn, 1) | _biased(f"backbone.fpn_output{stage}", fpn, fpn, 3)
    rpn, heads = "proposal_generator.rpn_head.", "roi_heads."
    found |= _biased(f"{rpn}conv", fpn, fpn, 3) | _biased(f"{rpn}objectness_logits", fpn, 3, 1) | _biased(f"{rpn}anchor_deltas", fpn, 12, 1)
    found |= _linear(f"{heads}box_head.fc1", fpn * 49, box) | _linear(f"{heads}box_head.fc2", box, box)
    found |= _linear(f"{heads}box_predictor.cls_score", box, classes + 1) | _linear(f"{heads}box_predictor.bbox_pred", box, 4 * classes)
    for i in range(1, 5):
        found |= _biased(f"{heads}mask_head.mask_fcn{i}", fpn if i == 1 else mask, mask, 3)
    return found | _biased(f"{heads}mask_head.deconv", mask, mask, 2) | _biased(f"{heads}mask_head.predictor", mask, classes, 1)


def _biased(name: str, inputs: int, outputs: int, side: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _normed(name: str, inputs: int, outputs: int, side: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.weight": (outputs, inputs, side, side)} | {f"{name}.norm.{part}": (outputs,) for part in parts}


def state(recipe: Detectron2Recipe = TINY, seed: int = 2) -> dict[str, F32Array]:
    """Weights that give a few dozen detections."""
    random = np.random.default_rng(seed)
    return {name: _values(name, shape, random) for name, shape in shapes(recipe).items()}


def _values(name: str, shape: tuple[int, ...], random: np.random.Generator) -> F32Array:
    gain = next((value for end, value in _GAINS.items() if name.endswith(end)), 1.0)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return (gain * random.uniform(0.5, 1.5, shape)).astype(np.float32)
    if len(shape) == 1:
        return random.normal(0, 0.1, shape).astype(np.float32)
    return random.normal(0, gain * math.sqrt(2 / math.prod(shape[1:])), shape).astype(np.float32)


def write_pickle(folder: Path, weights: dict[str, F32Array], **others: object) -> Path:
    """A file such as the model zoo has, extras included."""
    extras = {
        "pixel_mean": np.zeros((3, 1, 1), np.float32),
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4), np.float32),
    }
    path = folder / "model_final_f10217.pkl"
    path.write_bytes(pickle.dumps({"model": {**weights, **extras}, "__author__": "Detectron2 Model Zoo", **others}))
    return path
