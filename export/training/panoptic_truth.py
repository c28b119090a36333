"""What a batch of frames holds, in tensors of one shape: no loop over pictures and no waiting for a GPU to count objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic import LABELS as SCENE_LABELS
from edgeseg.sources.synthetic import SceneConfig, SceneTruth
from edgeseg.types import AnyArray, SizeHW, U8Array

from ..nets.rcnn.config import padded_hw
from .data import SLIVER

SLOTS = SceneConfig.max_objects
"""Objects of one picture at most."""
OUTSIDE = 255
"""Channel of pixels that are no part of the picture."""
STUFF_COUNT = sum(not label.is_thing for label in SCENE_LABELS)
THING_COUNT = len(SCENE_LABELS) - STUFF_COUNT


class Truths(NamedTuple):
    """B pictures with G slots for objects each; unused slots come last. Boxes end past their last pixel."""

    boxes: Tensor
    """float32 (B, G, 4): corners of what is visible, in pixels of the network's input; 0 in unused slots."""
    classes: Tensor
    """int64 (B, G): 1 for the first thing class; 0 = unused."""
    ignore: Tensor
    """bool (B, G): slivers that are neither wanted nor punished."""
    ids: Tensor
    """int64 (B, G): the same in all frames of a scene; 0 = unused."""
    owners: Tensor
    """uint8 (B, H, W), padded: 1 + slot of the object seen at a pixel; 0 where there is none."""
    channels: Tensor
    """uint8 (B, H, W), padded: channel of the semantic head, stuff first, then things; OUTSIDE in the padding."""


Batch = TypeVar("Batch", bound=tuple)  # type: ignore[type-arg]


def moved(batch: Batch, device: torch.device) -> Batch:
    """A tuple of tensors and of such tuples, on another device."""
    parts = [part.to(device, non_blocking=True) if isinstance(part, Tensor) else moved(part, device) for part in batch]
    return type(batch)(*parts)


def truths_of(truths: Sequence[SceneTruth], input_hw: SizeHW) -> Truths:
    """The frames of a batch, stretched to the network's input and padded as it is."""
    columns = zip(*(_truth(truth, input_hw) for truth in truths), strict=True)
    return Truths(*(torch.from_numpy(np.stack(column)) for column in columns))


def _truth(truth: SceneTruth, input_hw: SizeHW) -> tuple[AnyArray, ...]:
    """The fields of `Truths` for one frame."""
    height, width = truth.image_hw
    count = len(truth)
    scale = np.array([input_hw[1] / width, input_hw[0] / height] * 2, np.float32)
    owner_of_id = np.zeros(int(truth.ids.max(initial=0)) + 1, np.uint8)
    owner_of_id[truth.ids] = np.arange(1, count + 1)
    owners = owner_of_id[truth.instance_ids]
    channel_of_owner = np.concatenate([[0], STUFF_COUNT + truth.classes]).astype(np.uint8)
    channels = np.where(owners > 0, channel_of_owner[owners], truth.stuff - THING_COUNT).astype(np.uint8)
    return (
        _slots(truth.boxes * scale),
        _slots(truth.classes.astype(np.int64) + 1),
        _slots(truth.visible_fraction < SLIVER),
        _slots(truth.ids.astype(np.int64)),
        _padded(owners, input_hw, 0),
        _padded(channels, input_hw, OUTSIDE),
    )


def _slots(values: AnyArray) -> AnyArray:
    filled = np.zeros((SLOTS, *values.shape[1:]), values.dtype)
    filled[: len(values)] = values
    return filled


def _padded(pixels: U8Array, input_hw: SizeHW, value: int) -> U8Array:
    cv = opencv()
    filled = np.full(padded_hw(input_hw), value, np.uint8)
    filled[: input_hw[0], : input_hw[1]] = cv.resize(pixels, input_hw[::-1], interpolation=cv.INTER_NEAREST)
    return filled
