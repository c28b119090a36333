"""Pairs of frames with the exact flow between them, for the branch that warps key frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic import Scene, SceneFlow
from edgeseg.types import F32Array, SizeHW, U8Array

from ..nets.flow import FLOW_UNIT
from .data import FRAME_COUNT, picture_of, scenes_of_batch, target_of
from .loss import Target

GAP_MAX = 8
"""Frames between a key frame and the current one, at most."""


@dataclass(frozen=True)
class FlowTarget:
    """The true flow of B pairs at the size of one pyramid level, from the current frame to the key frame."""

    flow: Tensor
    """float32 (B, 2, n, n): x, y in the network's unit."""
    weight: Tensor
    """float32 (B, n, n) in 0..1: the part of each cell that the key frame shows too."""


@dataclass(frozen=True)
class PairBatch:
    """B key frames, B frames near them, and what is to be found in the latter."""

    key: Tensor
    """uint8 (B, size, size, 3) BGR."""
    current: Tensor
    """uint8 (B, size, size, 3) BGR."""
    targets: list[Target]
    """Of the current frames."""
    flows: tuple[FlowTarget, ...]
    """One for each size asked for."""


class FramePairs(Dataset[PairBatch]):
    """Batch ``i`` is a pure function of ``i`` and the seed. The key frame is up to GAP_MAX frames before or after the current one.

    Args:
        iterations: how many batches there are.
        size: side of the network's input.
        proto_size: side of the targets' masks.
        flow_sizes: sides of the maps that are warped.
        seed: seed of the choice of frames.
    """

    def __init__(self, iterations: int, size: int, proto_size: int, flow_sizes: tuple[int, ...], seed: int) -> None:
        self.iterations, self.size, self.proto_size, self.flow_sizes, self.seed = iterations, size, proto_size, flow_sizes, seed

    def __len__(self) -> int:
        return self.iterations

    def __getitem__(self, i: int) -> PairBatch:
        chance = np.random.default_rng([self.seed, i])
        keys, currents, targets, flows = [], [], [], []
        for scene in scenes_of_batch(i):
            index = int(chance.integers(GAP_MAX, FRAME_COUNT - GAP_MAX))
            key = index + int(chance.integers(1, GAP_MAX + 1)) * int(chance.choice([-1, 1]))
            keys.append(picture_of(scene, key, (self.size, self.size)))
            currents.append(picture_of(scene, index, (self.size, self.size)))
            targets.append(target_of(scene.truth(index), (self.proto_size, self.proto_size)))
            flows.append(self._flows(scene, index, key))
        levels = zip(*flows, strict=True)
        return PairBatch(_stacked(keys), _stacked(currents), targets, tuple(_joined(level) for level in levels))

    def _flows(self, scene: Scene, index: int, key: int) -> list[FlowTarget]:
        flow = scene.flow(index, key)
        return [flow_target(flow, size) for size in self.flow_sizes]


def flow_target(flow: SceneFlow, size: int) -> FlowTarget:
    """The flow at ``size`` x ``size`` cells: each cell's mean over those of its pixels that the other frame shows too; B is 1.

    A warp samples with its corners aligned: one cell is 2 / (size - 1) of normalised coordinates.
    """
    cells, weight = mean_flow(flow, (size, size))
    values = cells * np.float32(2 / (size - 1) * FLOW_UNIT)
    return FlowTarget(torch.from_numpy(values.transpose(2, 0, 1)[None].astype(np.float32)), torch.from_numpy(weight[None]))


def mean_flow(flow: SceneFlow, size_hw: SizeHW) -> tuple[F32Array, F32Array]:
    """The flow float32 (h, w, 2) in cells of a map of ``size_hw``, and the part (h, w) of each cell that the other frame shows too."""
    cv = opencv()
    (height, width), (rows, columns) = flow.image_hw, size_hw
    seen = flow.visible.astype(np.float32)
    weight = cv.resize(seen, (columns, rows), interpolation=cv.INTER_AREA)
    total = cv.resize(flow.displacement * seen[..., None], (columns, rows), interpolation=cv.INTER_AREA)
    pixels = total / np.maximum(weight, 1e-6)[..., None]
    return pixels * np.array([columns / width, rows / height], np.float32), weight


def _joined(samples: tuple[FlowTarget, ...]) -> FlowTarget:
    return FlowTarget(torch.cat([sample.flow for sample in samples]), torch.cat([sample.weight for sample in samples]))


def _stacked(pictures: list[U8Array]) -> Tensor:
    return torch.from_numpy(np.stack(pictures))
