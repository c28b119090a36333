"""Clips with panoptic ground truth: synthetic scenes, and those of data sets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.cli.scoring import MIN_VISIBLE, in_classes
from edgeseg.evaluation.panoptic_files import PanopticClip
from edgeseg.sources.picture import read_picture
from edgeseg.sources.synthetic import Scene, SceneConfig, classes_in
from edgeseg.truth import PanopticTruth
from edgeseg.types import Frame, GroundTruth, Label

VIDEO_FPS = 17.0
"""Of Cityscapes. Only overlapped key frames depend on it."""


@dataclass(frozen=True, repr=False)
class PanopticScene:
    """What is known of one frame."""

    panoptic: PanopticTruth
    things: GroundTruth
    """With ids."""


class SyntheticClip:
    """A scene, its truth under the class numbers of a model; things of which less than `MIN_VISIBLE` is seen do not count."""

    def __init__(self, config: SceneConfig, labels: Sequence[Label]) -> None:
        self._scene = Scene(config)
        self._places = classes_in(labels)
        self.name, self.fps = self._scene.name, config.fps

    def __len__(self) -> int:
        return self._scene.config.frame_count

    def __iter__(self) -> Iterator[tuple[Frame, PanopticScene | None]]:
        for index in range(len(self)):
            exact = self._scene.truth(index)
            things = in_classes(exact.ground_truth(MIN_VISIBLE), self._places)
            yield self._scene.frame(index), PanopticScene(exact.panoptic(MIN_VISIBLE).in_classes(self._places), things)


class FileClip:
    """A video or a picture of a data set; frames without a map are shown to the model and not scored."""

    fps = VIDEO_FPS

    def __init__(self, clip: PanopticClip, labels: Sequence[Label], frames: int | None = None) -> None:
        self.name = clip.name
        self._pictures = clip.pictures[:frames]
        self._labels = labels

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[tuple[Frame, PanopticScene | None]]:
        for index, picture in enumerate(self._pictures):
            frame = Frame(read_picture(picture.path), index, time.monotonic(), self.name, index / self.fps)
            truth = picture.truth(self._labels)
            yield frame, None if truth is None else PanopticScene(truth, things_of(truth, self._labels))


def things_of(truth: PanopticTruth, labels: Sequence[Label]) -> GroundTruth:
    """The things of a true map as instances; crowds are ignored ones."""
    things = [(number, segment) for number, segment in truth.segments.items() if labels[segment.class_id].is_thing]
    return GroundTruth(
        classes=np.array([segment.class_id for _, segment in things], np.int64),
        masks=tuple(truth.ids == number for number, _ in things),
        ignored=np.array([segment.is_crowd for _, segment in things], bool),
        image_hw=(truth.ids.shape[0], truth.ids.shape[1]),
        ids=np.array([number for number, _ in things], np.int64),
    )
