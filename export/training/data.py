"""Synthetic video as an endless, seeded training set of single frames."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic import Scene, SceneConfig, SceneTruth
from edgeseg.types import SizeHW, U8Array

from .loss import Target

FIRST_SEED = 1_000
"""Far below `edgeseg.sources.synthetic.HELD_OUT_FIRST_SEED`, which no training reaches."""
SCENES_PER_ROUND = 16
BATCHES_PER_ROUND = 4
FRAME_COUNT = 120
SIZES_HW: tuple[SizeHW, ...] = ((256, 456), (288, 512), (320, 320), (288, 384))
SLIVER = 0.15
"""Objects of which less than this fraction is visible are neither wanted nor punished."""


@lru_cache(maxsize=2 * SCENES_PER_ROUND)
def _scene(seed: int, size_hw: SizeHW) -> Scene:
    return Scene(SceneConfig(seed=seed, size_hw=size_hw, frame_count=FRAME_COUNT))


def scenes_of_batch(i: int, sizes_hw: tuple[SizeHW, ...] = SIZES_HW) -> list[Scene]:
    """The scenes of batch ``i``: sixteen that serve four batches in a row.

    Building scenes so does not outweigh drawing them, while no batch sees a scene twice.
    """
    first = FIRST_SEED + (i // BATCHES_PER_ROUND) * SCENES_PER_ROUND
    return [_scene(seed, sizes_hw[seed % len(sizes_hw)]) for seed in range(first, first + SCENES_PER_ROUND)]


class PictureSizes(NamedTuple):
    """(height, width) in pixels of what a batch holds."""

    input_hw: SizeHW
    mask_hw: SizeHW
    scenes_hw: tuple[SizeHW, ...] = SIZES_HW
    """Scenes are drawn at these sizes in turn, then stretched to the input's."""


class SyntheticBatches(Dataset[tuple[Tensor, list[Target]]]):
    """Batch ``i`` is a pure function of ``i`` and the seed: uint8 (B, H, W, 3) BGR and B targets."""

    def __init__(self, iterations: int, sizes: PictureSizes, seed: int) -> None:
        self.iterations, self.sizes, self.seed = iterations, sizes, seed

    def __len__(self) -> int:
        return self.iterations

    def __getitem__(self, i: int) -> tuple[Tensor, list[Target]]:
        chance = np.random.default_rng([self.seed, i])
        samples = [self._sample(scene, int(chance.integers(FRAME_COUNT))) for scene in scenes_of_batch(i, self.sizes.scenes_hw)]
        images, targets = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(images)), list(targets)

    def _sample(self, scene: Scene, index: int) -> tuple[U8Array, Target]:
        return picture_of(scene, index, self.sizes.input_hw), target_of(scene.truth(index), self.sizes.mask_hw)


def picture_of(scene: Scene, index: int, size_hw: SizeHW) -> U8Array:
    """A frame as the network gets it: uint8 (H, W, 3) BGR, stretched."""
    cv = opencv()
    picture: U8Array = cv.resize(scene.render(index), size_hw[::-1], interpolation=cv.INTER_LINEAR)
    return picture


def target_of(truth: SceneTruth, mask_hw: SizeHW) -> Target:
    """The visible objects of one frame; masks float32 (N, *mask_hw) by area averaging, whose rounding may go past 1 and is cut."""
    cv = opencv()
    height, width = truth.instance_ids.shape
    visible = [k for k in range(len(truth.ids)) if truth.visible_fraction[k] > 0]
    masks = [cv.resize(truth.visible(k).astype(np.float32), mask_hw[::-1], interpolation=cv.INTER_AREA).clip(max=1) for k in visible]
    boxes = truth.boxes[visible] / np.array([width, height, width, height], np.float32)
    return Target(
        boxes=torch.from_numpy(boxes.astype(np.float32)).reshape(-1, 4),
        classes=torch.from_numpy(truth.classes[visible].astype(np.int64)) + 1,
        masks=torch.from_numpy(np.stack(masks).clip(0, 1)) if masks else torch.zeros(0, *mask_hw),
        ignore=torch.from_numpy(truth.visible_fraction[visible] < SLIVER),
    )
