"""Batches that come back: drawing frames and running the frozen trunk costs more than learning from them once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Replay(Generic[T]):
    """The last ``size`` batches. Each new one is followed by some of them, drawn by chance."""

    def __init__(self, size: int, repeats: int, seed: int) -> None:
        self._kept: deque[T] = deque(maxlen=size)
        self._repeats = repeats
        self._chance = np.random.default_rng(seed)

    def after(self, batch: T) -> Iterator[T]:
        """The new batch, then ``repeats`` kept ones."""
        self._kept.append(batch)
        yield batch
        for _ in range(self._repeats):
            yield self._kept[self._chance.integers(len(self._kept))]
