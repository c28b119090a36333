"""The pictures that graphs are calibrated and compared on: read one at a time, as often as needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.errors import UsageError
from edgeseg.sources import open_source
from edgeseg.sources.synthetic import HELD_OUT_FIRST_SEED, Scene, SceneConfig
from edgeseg.types import GroundTruth, SizeHW, U8Array

PICTURES = Path(__file__).parent / "pictures"
SYNTHETIC = "synthetic:"
CALIBRATION_COUNT = 32
COMPARED_COUNT = 16
SCORED_COUNT = 200
"""Pictures with ground truth: average precision needs many."""
_FRAME_OF_SCENE = 10
MIN_VISIBLE = 0.15
"""True instances of which less than this part is seen are ignored."""


@dataclass(frozen=True, repr=False)
class Sample:
    """One picture, uint8 (H, W, 3) BGR, and what is truly there where that is known."""

    pixels: U8Array
    truth: GroundTruth | None = None
    is_scene: bool = False
    """Whether it is made up: its truth has the classes of synthetic scenes."""


@dataclass(frozen=True)
class Samples:
    """Pictures by name; iterating reads them anew, so that no more than one is in memory."""

    name: str
    count: int
    read: Callable[[], Iterator[Sample]]

    def __iter__(self) -> Iterator[Sample]:
        return self.read()

    def first(self, count: int) -> Samples:
        """Only the first of them."""
        return Samples(self.name, min(count, self.count), lambda: itertools.islice(self.read(), count))


def shipped() -> Samples:
    """The real pictures that come with the exporter, and their mirror images."""
    files = sorted(PICTURES.glob("*.jpg"))
    return Samples(f"{len(files)} shipped pictures and their mirror images", 2 * len(files), lambda: _mirrored(str(PICTURES)))


TruthOf = Callable[[str, SizeHW], GroundTruth | None]
"""File name and size of a picture -> what is truly in it, where that is known."""


def samples(source: str | None, count: int, *, held_out: bool, truth: TruthOf = lambda *_: None) -> Samples:
    """Pictures of a source as ``edgeseg run`` takes it, evenly spread over it; those that ship where none is named.

    Args:
        source: a folder, a picture, a video, or ``synthetic:`` for a frame each of many made-up scenes, with exact truth.
        count: how many at most.
        held_out: of made-up scenes, those that training never uses.
        truth: what is in the pictures of a folder.

    Raises:
        SourceError: it cannot be read.
        UsageError: a source that does not end.
    """
    if source is None:
        return shipped().first(count)
    if source == SYNTHETIC:
        first = HELD_OUT_FIRST_SEED + 1000 if held_out else 0
        return Samples(f"{count} made-up scenes from seed {first}", count, lambda: _scenes(range(first, first + count)))
    with open_source(source) as opened:
        total = opened.info.frame_count
    if total is None:
        raise UsageError(f"{source} has no known end; give a folder of pictures, a video file or {SYNTHETIC}")
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int)).tolist()
    return Samples(f"{len(chosen)} of {total} pictures of {source}", len(chosen), lambda: _chosen(source, set(chosen), truth))


def _mirrored(folder: str) -> Iterator[Sample]:
    for flip in (False, True):
        with open_source(folder) as pictures:
            for frame in pictures:
                yield Sample(np.ascontiguousarray(frame.pixels[:, ::-1]) if flip else frame.pixels)


def _scenes(seeds: range) -> Iterator[Sample]:
    for seed in seeds:
        scene = Scene(SceneConfig(seed=seed))
        yield Sample(scene.frame(_FRAME_OF_SCENE).pixels, scene.truth(_FRAME_OF_SCENE).ground_truth(MIN_VISIBLE), is_scene=True)


def _chosen(source: str, indices: set[int], truth: TruthOf) -> Iterator[Sample]:
    last = max(indices)
    with open_source(source) as frames:
        for position, frame in enumerate(frames):
            if position in indices:
                yield Sample(frame.pixels, truth(frame.stream, frame.image_hw))
            if position == last:
                return
