"""Checkpoints for cases that have none: deterministic numbers under the official names, which cost a net what real ones do."""

from __future__ import annotations

from pathlib import Path

import torch

from edgeseg.errors import UsageError
from export.recipes.base import Recipe
from export.recipes.maskrcnn import RcnnRecipe
from export.recipes.yolact import YolactRecipe

from .fill_rcnn import OVERRIDES, fill_rcnn
from .fill_weights import fill_state_dict


def write_filler(chosen: Recipe, file: Path) -> Path:
    """Write a checkpoint of a recipe's net, and return its name.

    Raises:
        UsageError: there is no filler for such a net.
    """
    shapes = {name: tuple(value.shape) for name, value in chosen.build_net().state_dict().items()}
    if isinstance(chosen, YolactRecipe):
        torch.save(fill_state_dict(shapes), file)
    elif isinstance(chosen, RcnnRecipe) and chosen.name in OVERRIDES:
        torch.save(fill_rcnn(shapes, OVERRIDES[chosen.name]), file)
    else:
        raise UsageError(f"there is no filler for {chosen.name}: give the case 'weights'")
    return file
