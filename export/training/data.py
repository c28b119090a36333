"""Synthetic video as an endless, seeded training set of single frames."""

from __future__ import annotations

from functools import lru_cache

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
def _scene(seed: int) -> Scene:
    return Scene(SceneConfig(seed=seed, size_hw=SIZES_HW[seed % len(SIZES_HW)], frame_count=FRAME_COUNT))


def scenes_of_batch(i: int) -> list[Scene]:
    """The scenes of batch ``i``: sixteen that serve four batches in a row.

    Building scenes so does not outweigh drawing them, while no batch sees a scene twice.
    """
    first = FIRST_SEED + (i // BATCHES_PER_ROUND) * SCENES_PER_ROUND
    return [_scene(first + k) for k in range(SCENES_PER_ROUND)]


class SyntheticBatches(Dataset[tuple[Tensor, list[Target]]]):
    """Batch ``i`` is a pure function of ``i``: uint8 (B, size, size, 3) BGR and B targets with masks at prototype size."""

    def __init__(self, iterations: int, size: int, proto_size: int, seed: int) -> None:
        self.iterations, self.size, self.proto_size, self.seed = iterations, size, proto_size, seed

    def __len__(self) -> int:
        return self.iterations

    def __getitem__(self, i: int) -> tuple[Tensor, list[Target]]:
        chance = np.random.default_rng([self.seed, i])
        samples = [self._sample(scene, int(chance.integers(FRAME_COUNT))) for scene in scenes_of_batch(i)]
        images, targets = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(images)), list(targets)

    def _sample(self, scene: Scene, index: int) -> tuple[U8Array, Target]:
        return picture_of(scene, index, self.size), target_of(scene.truth(index), self.proto_size)


def picture_of(scene: Scene, index: int, size: int) -> U8Array:
    """A frame as the network gets it: uint8 (size, size, 3) BGR, stretched."""
    cv = opencv()
    picture: U8Array = cv.resize(scene.render(index), (size, size), interpolation=cv.INTER_LINEAR)
    return picture


def target_of(truth: SceneTruth, proto_size: int) -> Target:
    """The visible objects of one frame; masks float32 (N, proto_size, proto_size) by area averaging."""
    cv = opencv()
    height, width = truth.instance_ids.shape
    visible = [k for k in range(len(truth.ids)) if truth.visible_fraction[k] > 0]
    masks = [cv.resize(truth.visible(k).astype(np.float32), (proto_size, proto_size), interpolation=cv.INTER_AREA) for k in visible]
    boxes = truth.boxes[visible] / np.array([width, height, width, height], np.float32)
    return Target(
        boxes=torch.from_numpy(boxes.astype(np.float32)).reshape(-1, 4),
        classes=torch.from_numpy(truth.classes[visible].astype(np.int64)) + 1,
        masks=torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, proto_size, proto_size),
        ignore=torch.from_numpy(truth.visible_fraction[visible] < SLIVER),
    )
