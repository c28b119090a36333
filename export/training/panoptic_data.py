"""Synthetic video for panoptic nets: single frames, and pairs of frames with the exact flow between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edgeseg.sources.synthetic import Scene, SceneConfig, SceneFlow
from edgeseg.types import F32Array, SizeHW

from ..nets.rcnn.config import padded_hw
from .data import FIRST_SEED, FRAME_COUNT, picture_of
from .pairs import mean_flow
from .panoptic_truth import Truths, truths_of

SCENES_HW: tuple[SizeHW, ...] = ((360, 640), (288, 512))
BATCHES_PER_ROUND = 8
"""A worker draws so many batches of its scenes before it builds new ones, which costs more than drawing a frame."""
GAP_MAX = 5
"""Frames between the frame and its reference, at most."""
STILL = 0.1
"""Part of the pairs whose reference is the frame itself, as in a video's first frame."""
FLOW_STRIDE = 4
"""Pixels per cell of the flow."""


@dataclass(frozen=True)
class Drawing:
    """How frames are drawn."""

    input_hw: SizeHW
    batch: int
    """Frames or pairs, each of a scene of its own."""
    workers: int
    """Processes that take batches in turn: batch i is drawn by process i modulo their number."""
    seed: int


class Frames(NamedTuple):
    """B frames."""

    images: Tensor
    """uint8 (B, H, W, 3) BGR, not padded."""
    truths: Truths


class Pairs(NamedTuple):
    """B frames, each with an earlier or later one of its scene."""

    now: Frames
    reference: Frames
    flow: Tensor
    """float32 (B, 2, h, w): x and y in cells, from the frame to its reference; padded."""
    weight: Tensor
    """float32 (B, h, w) in 0..1: the part of each cell that the reference shows too."""


class _Batches:
    """Which scenes and which chance batch ``i`` is made of."""

    def __init__(self, count: int, drawing: Drawing) -> None:
        self.count, self.drawing = count, drawing

    def __len__(self) -> int:
        return self.count

    def scenes(self, i: int) -> list[Scene]:
        """Those of the round of the worker that draws it."""
        rounds, worker = divmod(i, self.drawing.workers)
        number = rounds // BATCHES_PER_ROUND * self.drawing.workers + worker
        first = FIRST_SEED + number * self.drawing.batch
        return [_scene(seed) for seed in range(first, first + self.drawing.batch)]

    def chance(self, i: int) -> np.random.Generator:
        """Of this batch alone."""
        return np.random.default_rng([self.drawing.seed, i])

    def frames(self, scenes: list[Scene], indices: list[int]) -> Frames:
        """A frame of each scene."""
        size = self.drawing.input_hw
        pictures = np.stack([picture_of(scene, index, size) for scene, index in zip(scenes, indices, strict=True)])
        truths = truths_of([scene.truth(index) for scene, index in zip(scenes, indices, strict=True)], size)
        return Frames(torch.from_numpy(pictures), truths)


class FrameBatches(_Batches, Dataset[Frames]):
    """Batch ``i`` is a pure function of ``i`` and the drawing."""

    def __getitem__(self, i: int) -> Frames:
        scenes, chance = self.scenes(i), self.chance(i)
        return self.frames(scenes, chance.integers(FRAME_COUNT, size=len(scenes)).tolist())


class PairBatches(_Batches, Dataset[Pairs]):
    """Batch ``i`` is a pure function of ``i`` and the drawing."""

    def __getitem__(self, i: int) -> Pairs:
        scenes, chance = self.scenes(i), self.chance(i)
        indices = chance.integers(GAP_MAX, FRAME_COUNT - GAP_MAX, size=len(scenes))
        gaps = chance.integers(1, GAP_MAX + 1, size=len(scenes)) * chance.choice([-1, 1], size=len(scenes))
        gaps[chance.random(len(scenes)) < STILL] = 0
        now, then = indices.tolist(), (indices + gaps).tolist()
        flows = [cell_flow(scene.flow(*ends), self.drawing.input_hw) for scene, *ends in zip(scenes, now, then, strict=True)]
        flow, weight = (torch.from_numpy(np.stack(part)) for part in zip(*flows, strict=True))
        return Pairs(self.frames(scenes, now), self.frames(scenes, then), flow, weight)


def cell_flow(flow: SceneFlow, input_hw: SizeHW) -> tuple[F32Array, F32Array]:
    """The flow float32 (2, h, w) of a picture that is stretched to ``input_hw`` and padded, in cells, and its weight (h, w)."""
    height, width = padded_hw(input_hw)
    rows, columns = input_hw[0] // FLOW_STRIDE, input_hw[1] // FLOW_STRIDE
    cells, seen = mean_flow(flow, (rows, columns))
    padding = ((0, height // FLOW_STRIDE - rows), (0, width // FLOW_STRIDE - columns))
    return np.pad(cells.transpose(2, 0, 1), ((0, 0), *padding)), np.pad(seen, padding)


@lru_cache(maxsize=64)
def _scene(seed: int) -> Scene:
    size_hw = SCENES_HW[seed % len(SCENES_HW)]
    return Scene(SceneConfig(seed=seed, size_hw=size_hw, frame_count=FRAME_COUNT))
