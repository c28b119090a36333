"""Synthetic video as an endless, seeded training set."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic import Scene, SceneConfig, SceneTruth
from edgeseg.types import F32Array, SizeHW

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


class SyntheticBatches(Dataset[tuple[Tensor, list[Target]]]):
    """Batch ``i`` is a pure function of ``i``: uint8 (B, size, size, 3) BGR and B targets with masks at prototype size.

    Sixteen scenes serve four batches in a row, one frame each, so that building scenes does not outweigh drawing them
    while no batch sees a scene twice.
    """

    def __init__(self, iterations: int, size: int, proto_size: int, seed: int) -> None:
        self.iterations, self.size, self.proto_size, self.seed = iterations, size, proto_size, seed

    def __len__(self) -> int:
        return self.iterations

    def __getitem__(self, i: int) -> tuple[Tensor, list[Target]]:
        chance = np.random.default_rng([self.seed, i])
        first = FIRST_SEED + (i // BATCHES_PER_ROUND) * SCENES_PER_ROUND
        samples = [self._sample(_scene(first + k), int(chance.integers(FRAME_COUNT))) for k in range(SCENES_PER_ROUND)]
        images, targets = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(images)), list(targets)

    def _sample(self, scene: Scene, index: int) -> tuple[F32Array, Target]:
        cv = opencv()
        image = cv.resize(scene.render(index), (self.size, self.size), interpolation=cv.INTER_LINEAR)
        return image, target_of(scene.truth(index), self.proto_size)


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
