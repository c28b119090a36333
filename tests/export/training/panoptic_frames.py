"""Small nets and frames for the tests of panoptic training."""

from __future__ import annotations

from dataclasses import replace

import torch

from export.nets.panoptic.config import FuseSpec
from export.recipes import RECIPES
from export.recipes.panoptic import PanopticRecipe
from export.training.panoptic_data import Frames
from export.training.panoptic_truth import OUTSIDE, SLOTS, STUFF_COUNT, Truths

INPUT_HW, PADDED_HW = (60, 96), (64, 96)


def tiny(name: str) -> PanopticRecipe:
    """The demo of that name, smaller."""
    demo = RECIPES[name]
    small = replace(
        demo, name="tiny", blocks=(1, 1, 1, 1), base_width=8, fpn_channels=8, semantic_channels=(8,), box_channels=8, mask_channels=8,
        frame_hw=INPUT_HW, shorter=60, longer=96,
    )  # fmt: skip
    return replace(small, fuse=FuseSpec(flow_width=0.02), embedding=8) if demo.fuse else small


def frames(count: int, shift: int = 0) -> Frames:
    """Grey pictures, half sky and half water, with one bright box and one dark one each; the boxes lie ``shift`` pixels to the right."""
    images = torch.full((count, *INPUT_HW, 3), 90, dtype=torch.uint8)
    images[:, 30:, :, 0] = 160
    channels = torch.full((count, *PADDED_HW), OUTSIDE, dtype=torch.uint8)
    channels[:, :60], channels[:, 30:60] = 0, 1
    boxes, owners = torch.zeros(count, SLOTS, 4), torch.zeros(count, *PADDED_HW, dtype=torch.uint8)
    classes, ids = torch.zeros(2, count, SLOTS, dtype=torch.int64)
    for slot, (left, top, grey) in enumerate(((8, 8, 240), (40, 28, 10))):
        place = (slice(None), slice(top, top + 24), slice(left + shift, left + shift + 32))
        images[place], owners[place], channels[place] = grey, slot + 1, STUFF_COUNT + slot
        boxes[:, slot] = torch.tensor([left + shift, top, left + shift + 32, top + 24])
        classes[:, slot], ids[:, slot] = slot + 1, slot + 7
    ignore = torch.zeros(count, SLOTS, dtype=torch.bool)
    return Frames(images, Truths(boxes, classes, ignore, ids, owners, channels))


def nothing(count: int) -> Frames:
    """The same pictures, in which nothing is said to be a thing."""
    seen = frames(count)
    truths = seen.truths
    channels = torch.where(truths.owners > 0, 0, truths.channels)
    empty = {name: torch.zeros_like(getattr(truths, name)) for name in ("boxes", "classes", "ids", "owners")}
    return Frames(seen.images, truths._replace(channels=channels, **empty))
