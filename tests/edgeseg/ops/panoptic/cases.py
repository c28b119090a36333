"""Random pictures for the panoptic head, small and full of what is rare: ties, boxes that reach out or hold nothing, all removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.ops.panoptic import Detections


@dataclass(frozen=True)
class Case:
    """What the head gets."""

    semantic: np.ndarray
    """float32 (C, h, w)."""
    stuff: int
    detections: Detections
    void: bool

    @property
    def hw(self) -> tuple[int, int]:
        """Of the map."""
        return 4 * self.semantic.shape[1], 4 * self.semantic.shape[2]


def detections(random: np.random.Generator, count: int, things: int, hw: tuple[int, int]) -> Detections:
    """Boxes in, across and out of the picture; few distinct scores; some masks empty."""
    height, width = hw
    low = random.uniform(-0.3, 1.1, (count, 2)) * (width, height)
    size = random.choice([random.uniform(-2, 3, (count, 2)), random.uniform(0.1, 1.2, (count, 2)) * (width, height)])
    boxes = np.concatenate([low, low + size], axis=1)
    if random.random() < 0.5:
        boxes = np.round(2 * np.clip(boxes, 0, [width - 1, height - 1, width - 1, height - 1])) / 2
    logits = random.normal(random.choice([-3, 0, 1]), 2, (count, 28, 28))
    logits[random.random(count) < 0.1] = -1
    scores = random.choice([random.uniform(0.6, 1, count), random.choice([0.7, 0.8], count)])
    return Detections(
        boxes.astype(np.float32), scores.astype(np.float32), random.integers(1, things + 1, count), np.round(logits, 1).astype(np.float32)
    )


def case(seed: int) -> Case:
    """One picture; every kind of rarity comes in some of a few dozen."""
    random = np.random.default_rng(seed)
    stuff, things = int(random.integers(0, 5)), int(random.integers(0, 4))
    stuff += not (stuff or things)
    h, w = random.integers(1, 9, 2).tolist()
    count = int(random.choice([0, 1, 2, 5, 12, 40])) if things else 0
    semantic = random.normal(random.choice([-2, 0, 2]), 1.5, (stuff + things, h, w))
    # Whole numbers make ties, also with the zero of an instance that is elsewhere.
    semantic = np.round(semantic) if random.random() < 0.5 else semantic
    found = detections(random, count, max(things, 1), (4 * h, 4 * w))
    return Case(semantic.astype(np.float32), stuff, found, bool(random.random() < 0.5))
