"""What ``edgeseg demo --panoptic`` shows: contenders, and how they are judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from edgeseg.cli.scoring import MIN_VISIBLE
from edgeseg.evaluation import PqMeter, VpqMeter
from edgeseg.evaluation.vpq import LABELLED_EVERY
from edgeseg.model import Model
from edgeseg.pipeline import StreamSettings
from edgeseg.sources.synthetic import Scene, classes_in
from edgeseg.types import Label, Result, Step

PANOPTIC_SCORES = ("PQ", "PQ things", "PQ stuff", "VPQ")


class Judge(Protocol):
    """Scores one run against the truth of its scene."""

    lacking: str
    """Why there are no scores; empty if there are."""

    def add(self, result: Result) -> None:
        """Take what was found in the next frame."""
        ...

    def scores(self) -> tuple[str, ...]:
        """In words, dashes where they cannot be computed."""
        ...


def panoptic_contenders(_model: Model) -> dict[str, StreamSettings]:
    """What is shown side by side: name -> settings."""
    return {
        "every frame a key frame": StreamSettings("every", track=True),
        "fixed:5, propagated": StreamSettings("fixed:5", "propagate", track=True),
    }


class PanopticJudge:
    """Panoptic quality of the pictures and of the video. Frame by frame, because maps of a whole clip would fill the memory."""

    lacking = ""

    def __init__(self, scene: Scene, labels: Sequence[Label]) -> None:
        self._scene, self._places = scene, classes_in(labels)
        self._pq = PqMeter(labels)
        self._vpq = VpqMeter(labels, spacing=LABELLED_EVERY)
        self._vpq.begin(scene.name)

    def add(self, result: Result) -> None:
        if result.step is Step.DROP:
            return
        truth = self._scene.truth(result.frame_index).panoptic(MIN_VISIBLE).in_classes(self._places)
        self._pq.add(result.panoptic, truth)
        self._vpq.add(result.panoptic, truth)

    def scores(self) -> tuple[str, ...]:
        pq = self._pq.compute()
        numbers = (pq.overall.pq, pq.things.pq, pq.stuff.pq, self._vpq.compute().mean)
        return tuple("-" if math.isnan(value) else f"{value:.3f}" for value in numbers)
