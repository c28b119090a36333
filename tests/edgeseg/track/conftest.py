"""A small stage on which textured boxes move as a script says, with the motion between its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from edgeseg.masks import SoftMask, SoftMasks
from edgeseg.motion import Motion, MotionEstimator
from edgeseg.opencv import opencv
from edgeseg.types import Frame, Instances

HW = (120, 200)
COLOURS = {"red": (40, 40, 220), "blue": (220, 60, 40), "green": (50, 190, 60), "yellow": (40, 220, 230)}


@dataclass
class Actor:
    """A textured box. Later actors hide earlier ones."""

    colour: str
    path: Callable[[int], tuple[float, float]]
    """Frame -> x, y of its middle."""
    class_id: int = 0
    size: tuple[int, int] = (30, 24)
    """Width and height."""
    score: float | Callable[[int], float] = 0.9
    """Or frame -> score; 0 where the model misses it."""
    seen_as: Callable[[int], int] | None = None
    """Frame -> class that the model takes it for."""

    def score_at(self, index: int) -> float:
        """Its score in a frame."""
        return self.score(index) if callable(self.score) else self.score

    def class_at(self, index: int) -> int:
        """What the model takes it for in a frame."""
        return self.class_id if self.seen_as is None else self.seen_as(index)

    def box(self, index: int) -> tuple[int, int, int, int]:
        """Whole pixels, clipped to the picture."""
        x, y = self.path(index)
        width, height = self.size
        left, top = round(x - width / 2), round(y - height / 2)
        return max(left, 0), max(top, 0), min(left + width, HW[1]), min(top + height, HW[0])

    def pixels(self) -> np.ndarray:
        """uint8 (h, w, 3): its colour with a texture of its own."""
        grain = texture((self.size[1], self.size[0]), seed=sum(map(ord, self.colour)) + 97 * self.size[0])
        return np.clip(np.array(COLOURS[self.colour]) + 0.5 * grain[..., None], 0, 255).astype(np.uint8)


def texture(hw, seed):
    """float64 (h, w): smooth noise around 0."""
    noise = np.random.default_rng(seed).normal(size=hw) * 255
    return opencv().GaussianBlur(noise, (0, 0), 1.5)


@dataclass
class Stage:
    """What is seen and what a model finds, frame by frame."""

    actors: list[Actor]
    black: set[int] = field(default_factory=set)
    """Frames in which there is nothing to see."""
    seed: int = 1
    """Of the backdrop."""

    def __post_init__(self) -> None:
        self._backdrop = np.clip(110 + 0.6 * texture(HW, self.seed)[..., None] + np.zeros(3), 0, 255).astype(np.uint8)

    def owners(self, index: int) -> np.ndarray:
        """int (H, W): number of the actor seen at each pixel; -1 where there is none."""
        owners = np.full(HW, -1)
        for number, actor in enumerate(self.actors):
            x1, y1, x2, y2 = actor.box(index)
            if x1 < x2 and y1 < y2:
                owners[y1:y2, x1:x2] = number
        return owners

    def frame(self, index: int) -> Frame:
        """The picture."""
        if index in self.black:
            return Frame(np.zeros((*HW, 3), np.uint8), index=index)
        pixels = self._backdrop.copy()
        for actor in self.actors:
            x, y = actor.path(index)
            left, top = round(x - actor.size[0] / 2), round(y - actor.size[1] / 2)
            x1, y1, x2, y2 = actor.box(index)
            if x1 < x2 and y1 < y2:
                pixels[y1:y2, x1:x2] = actor.pixels()[y1 - top : y2 - top, x1 - left : x2 - left]
        return Frame(pixels, index=index)

    def found(self, index: int) -> tuple[Instances, list[int]]:
        """The visible parts of actors of which more than a fifth is seen, by score; and which actor each row is."""
        owners, rows = self.owners(index), []
        for number, actor in enumerate(self.actors):
            inside = owners == number
            whole = actor.size[0] * actor.size[1]
            if actor.score_at(index) > 0 and inside.sum() > whole / 5 and index not in self.black:
                rows.append((actor.score_at(index), actor.class_at(index), inside, number))
        rows.sort(key=lambda row: -row[0])
        scores, classes, masks, who = ([row[k] for row in rows] for k in range(4))
        return instances(masks, scores, classes), who

    def play(self, count: int) -> Iterator[tuple[Frame, Instances, list[int], Motion | None]]:
        """Frame by frame: the picture, what was found, which actor each row is, and the motion."""
        estimator = MotionEstimator()
        for index in range(count):
            frame = self.frame(index)
            found, who = self.found(index)
            yield frame, found, who, estimator.update(frame)


def instances(masks, scores, classes=None) -> Instances:
    """Instances with the given masks bool (H, W), tight boxes, and no ids."""
    boxes = np.zeros((len(masks), 4), np.float32)
    soft = []
    for i, mask in enumerate(masks):
        y, x = np.nonzero(mask)
        boxes[i] = x.min(), y.min(), x.max() + 1, y.max() + 1
        x1, y1, x2, y2 = boxes[i].astype(int).tolist()
        values = np.pad(mask[y1:y2, x1:x2].astype(np.float32), 1)
        soft.append(SoftMask(values, (x1 - 1, y1 - 1, x2 + 1, y2 + 1), (x1, y1, x2, y2)))
    hw = masks[0].shape if masks else HW
    return Instances(
        boxes=boxes,
        scores=np.array(scores, np.float32).reshape(len(masks)),
        classes=np.array(classes if classes is not None else [0] * len(masks), np.int64).reshape(len(masks)),
        masks=SoftMasks(tuple(soft), hw),
        track_ids=np.full(len(masks), -1, np.int64),
        image_hw=hw,
    )


@pytest.fixture
def stage() -> type[Stage]:
    """`Stage`."""
    return Stage


@pytest.fixture
def actor() -> type[Actor]:
    """`Actor`."""
    return Actor


@pytest.fixture
def make_instances() -> Callable[..., Instances]:
    """`instances`."""
    return instances


@pytest.fixture
def line() -> Callable[..., Callable[[int], tuple[float, float]]]:
    """A straight path: ``line(x, y, dx, dy)``."""

    def make(x, y, dx=0.0, dy=0.0):
        return lambda i: (x + dx * i, y + dy * i)

    return make
