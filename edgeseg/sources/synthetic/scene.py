"""A synthetic scene: renders any frame and its ground truth directly from the frame's number."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.opencv import opencv
from edgeseg.sources.synthetic.backdrop import STUFF, Backdrop
from edgeseg.sources.synthetic.config import PREFIX, SceneConfig
from edgeseg.sources.synthetic.flow import SceneFlow, lands_on_itself
from edgeseg.sources.synthetic.motion import MAX_ZOOM, Camera, Path, visible_extent
from edgeseg.sources.synthetic.shapes import SHAPES
from edgeseg.sources.synthetic.sprites import Sprite, pick_colours
from edgeseg.sources.synthetic.truth import Layer, SceneTruth, visible_boxes
from edgeseg.types import F64Array, Frame, I32Array, Label, U8Array

LABELS: tuple[Label, ...] = tuple(
    Label(name, category_id, is_thing=name in SHAPES) for category_id, name in enumerate((*SHAPES, *STUFF), start=1)
)
_KEPT_FRAMES = 2
_NOISE_SPREAD = 104.2
"""Standard deviation of the difference of two uniform bytes."""


@dataclass(frozen=True, repr=False)
class _Actor:
    class_id: int
    nearness: float
    path: Path
    sprite: Sprite


class Scene:
    """Textured shapes that move in front of a landscape, seen by a moving camera.

    A frame depends on the config and its own number only, so frames may be asked for in any order, past
    ``frame_count`` too.
    """

    def __init__(self, config: SceneConfig) -> None:
        self.config = config
        rng = np.random.default_rng([config.seed, 0])
        self._camera = Camera.draw(rng)
        self._noise = config.noise * rng.uniform(0.2, 1.0)
        self._blur_px = config.blur * rng.uniform(0.0, 1.0) * min(config.size_hw)
        self._backdrop = Backdrop.draw(rng, config.size_hw)
        self._actors = self._cast(rng)
        self._kept: dict[int, list[Layer]] = {}

    @property
    def name(self) -> str:
        """What names the scene as a stream."""
        return f"{PREFIX}seed={self.config.seed}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """Thing classes first, then stuff classes."""
        return LABELS

    def render(self, index: int) -> U8Array:
        """The picture of frame ``index`` as uint8 (H, W, 3) BGR."""
        cv2 = opencv()
        height, width = self.config.size_hw
        pixels: U8Array = cv2.warpAffine(self._backdrop.pixels, self._backdrop_matrix(index)[:2], (width, height))
        for layer in self._layers(index):
            _paint(pixels, layer, self._actors[layer.object_index].sprite)
        if self._blur_px > 0.2:
            pixels = cv2.GaussianBlur(pixels, (0, 0), self._blur_px)
        return self._add_noise(pixels, index)

    def truth(self, index: int) -> SceneTruth:
        """The exact ground truth of frame ``index``."""
        layers = self._layers(index)
        numbers = self._numbers(index)
        boxes, counts = visible_boxes(numbers, layers)
        seen = np.flatnonzero(counts)
        shown = tuple(layers[k] for k in seen)
        return SceneTruth(
            instance_ids=_instance_ids(numbers, layers),
            ids=np.array([layer.instance_id for layer in shown], np.int32),
            classes=np.array([layer.class_id for layer in shown], np.int64),
            order=np.arange(len(seen), dtype=np.int32),
            boxes=boxes[seen],
            visible_fraction=np.array([min(counts[k] / layers[k].area, 1.0) for k in seen], np.float32),
            stuff=self._stuff(index),
            layers=shown,
            steps=self._steps(index, index + 1, shown),
        )

    def flow(self, index: int, to: int) -> SceneFlow:
        """The exact flow from frame ``index`` to frame ``to``, before or after it.

        Where a surface exists in both frames, it is the truth of what moves there whether or not frame ``to`` shows it.
        """
        now = self.truth(index)
        moved = now.flow_of(self._steps(index, to, now.layers))
        ended = [layer.instance_id for layer in now.layers if layer.instance_id != self._instance_id(layer.object_index, to)]
        exists = ~np.isin(now.instance_ids, ended)
        moved[~exists] = 0
        then = _instance_ids(self._numbers(to), self._layers(to))
        return SceneFlow(moved, exists, lands_on_itself(moved, now.instance_ids, then))

    def frame(self, index: int) -> Frame:
        """Frame ``index`` as a video source hands it on."""
        pixels = self.render(index)
        return Frame(pixels, index=index, captured_s=time.monotonic(), stream=self.name, time_s=index / self.config.fps)

    def _cast(self, rng: np.random.Generator) -> list[_Actor]:
        """The objects, from the farthest to the nearest."""
        count = int(rng.integers(self.config.min_objects, self.config.max_objects + 1))
        unit = min(self.config.size_hw)
        around, actors = self._backdrop.colours, []
        for nearness in np.sort(rng.uniform(1.0, 1.4, count)):
            radius = rng.uniform(0.035, 0.06) if rng.random() < 0.08 else 0.06 + 0.165 * rng.random() ** 1.3
            path = Path.draw(rng, radius, visible_extent(self.config.size_hw, nearness))
            colours = pick_colours(rng, around)
            class_id = int(rng.integers(len(SHAPES)))
            largest = radius * (1 + path.breathe.amplitude) * max(path.aspect, 1 / path.aspect) ** 0.5 * MAX_ZOOM
            actors.append(_Actor(class_id, float(nearness), path, Sprite.draw(rng, SHAPES[class_id], largest * unit, colours)))
            around = np.concatenate([around, colours[[128]]])
        return actors

    def _matrix(self, actor: _Actor, index: int) -> F64Array:
        time_s = index / self.config.fps
        camera = self._camera.matrix(time_s, self.config.size_hw, actor.nearness)
        return camera @ actor.path.matrix(time_s) @ actor.sprite.to_unit

    def _backdrop_matrix(self, index: int) -> F64Array:
        camera = self._camera.matrix(index / self.config.fps, self.config.size_hw, 1.0)
        return camera @ np.linalg.inv(self._backdrop.from_world)

    def _layers(self, index: int) -> list[Layer]:
        """The objects that touch the picture, from the farthest to the nearest.

        Those of the last frames are kept, because a frame's picture and truth and the flow between frames are usually asked for together.
        """
        if index < 0:
            raise IndexError(f"frames are numbered from 0, got {index}")
        kept = self._kept.get(index)
        if kept is None:
            found = [self._layer(number, index) for number in range(len(self._actors))]
            kept = [layer for layer in found if layer is not None]
            last = list(self._kept.items())[1 - _KEPT_FRAMES :]
            self._kept = {**dict(last), index: kept}
        return kept

    def _numbers(self, index: int) -> U8Array:
        """uint8 (H, W): 1 + the number of the layer seen at each pixel; 0 where the landscape is."""
        numbers = np.zeros(self.config.size_hw, np.uint8)
        for number, layer in enumerate(self._layers(index), start=1):
            numbers[layer.window][layer.mask.view(bool)] = number
        return numbers

    def _instance_id(self, number: int, index: int) -> int:
        """Id of an object in a frame: another one for each crossing."""
        return 1 + number + len(self._actors) * self._actors[number].path.lap(index / self.config.fps)

    def _layer(self, number: int, index: int) -> Layer | None:
        actor = self._actors[number]
        matrix = self._matrix(actor, index)
        side = actor.sprite.alpha.shape[0] - 1
        corners = matrix[:2, :2] @ np.array([[0, side, 0, side], [0, 0, side, side]]) + matrix[:2, 2:]
        height, width = self.config.size_hw
        x1, y1 = np.maximum(np.floor(corners.min(axis=1)), 0).astype(int).tolist()
        x2, y2 = np.minimum(np.ceil(corners.max(axis=1)) + 1, (width, height)).astype(int).tolist()
        if x1 >= x2 or y1 >= y2:
            return None
        alpha = opencv().warpAffine(actor.sprite.alpha, _into_window(matrix, x1, y1), (x2 - x1, y2 - y1))
        area = actor.sprite.area * abs(float(np.linalg.det(matrix[:2, :2])))
        return Layer(number, self._instance_id(number, index), actor.class_id, x1, y1, alpha, matrix, area)

    def _stuff(self, index: int) -> I32Array:
        cv2 = opencv()
        height, width = self.config.size_hw
        kinds: U8Array = cv2.warpAffine(self._backdrop.stuff, self._backdrop_matrix(index)[:2], (width, height), flags=cv2.INTER_NEAREST)
        return kinds.astype(np.int32) + len(SHAPES)

    def _steps(self, index: int, to: int, layers: tuple[Layer, ...]) -> F64Array:
        """float64 (N + 1, 2, 3): image pixel in frame ``index`` to image pixel in frame ``to``, for the landscape and each layer."""
        now = [self._backdrop_matrix(index), *(layer.matrix for layer in layers)]
        then = [self._backdrop_matrix(to), *(self._matrix(self._actors[layer.object_index], to) for layer in layers)]
        return np.asarray((np.stack(then) @ np.linalg.inv(np.stack(now)))[:, :2], np.float64)

    def _add_noise(self, pixels: U8Array, index: int) -> U8Array:
        """Fresh grain in every frame: the difference of two random bytes, far faster to draw than normal noise."""
        if self._noise == 0:
            return pixels
        cv2 = opencv()
        raw = np.frombuffer(np.random.default_rng([self.config.seed, 1, index]).bytes(2 * pixels.size), np.uint8)
        plus, minus = raw.reshape(2, *pixels.shape)
        strength = self._noise / _NOISE_SPREAD
        grain = cv2.addWeighted(plus, strength, minus, -strength, 0, dtype=cv2.CV_16S)
        noisy: U8Array = cv2.add(pixels, grain, dtype=cv2.CV_8U)
        return noisy


def _instance_ids(numbers: U8Array, layers: list[Layer]) -> I32Array:
    """int32 (H, W): id of the instance seen at each pixel; ``numbers`` holds 1 + the number of its layer."""
    ids: I32Array = np.array([0, *(layer.instance_id for layer in layers)], np.int32)[numbers]
    return ids


def _into_window(matrix: F64Array, x: int, y: int) -> F64Array:
    """float64 (2, 3): as ``matrix``, but to pixels of a window whose top left pixel is (x, y)."""
    return np.asarray(matrix[:2] - np.array([[0.0, 0.0, x], [0.0, 0.0, y]]), np.float64)


def _paint(pixels: U8Array, layer: Layer, sprite: Sprite) -> None:
    """Lay an object and its shadow over the picture, in place."""
    cv2 = opencv()
    height, width = layer.alpha.shape
    placed = _into_window(layer.matrix, layer.x, layer.y)
    colours = cv2.warpAffine(sprite.pixels, placed, (width, height))
    shadow = cv2.warpAffine(sprite.shadow, placed, (width, height))
    behind = cv2.blendLinear(np.zeros_like(colours), pixels[layer.window], shadow, 1 - shadow)
    pixels[layer.window] = cv2.blendLinear(colours, behind, layer.alpha, 1 - layer.alpha)


def are_of_scenes(labels: Sequence[Label]) -> bool:
    """Whether a model's classes are those of the scenes, so that their truth is true for it.

    Things alone, things and stuff, or stuff and things, as panoptic models order them.
    """
    names = [label.name for label in labels]
    things, stuff = ([label.name for label in LABELS if label.is_thing is wanted] for wanted in (True, False))
    return names in (things, things + stuff, stuff + things)


def classes_in(labels: Sequence[Label]) -> dict[int, int]:
    """For each class of the scenes, as its place in `LABELS`, that a model has: its place in the model's labels."""
    places = {label.name: place for place, label in enumerate(labels)}
    return {number: places[label.name] for number, label in enumerate(LABELS) if label.name in places}
