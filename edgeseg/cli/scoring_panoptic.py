"""Several ways to process the same clips, each scored by PQ, VPQ and identity."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.cli.panoptic_clips import PanopticScene
from edgeseg.cli.scoring import finite
from edgeseg.cli.turns import Clip, CostMeter, Run, RunCost, take_turns
from edgeseg.evaluation import Identity, IdentityMeter, PqMeter, PqScore, VpqMeter, VpqScore
from edgeseg.model import Model
from edgeseg.types import Label, Result


@dataclass(frozen=True, repr=False)
class PanopticRunScore(RunCost):
    """How good one run was, and what it cost."""

    pq: PqScore
    vpq: VpqScore | None
    """None where no clip is a video."""
    identity: Identity | None
    """Of the things; None where the run gives no ids."""

    def to_json(self) -> dict[str, Any]:
        """All numbers, durations in milliseconds; null where there was nothing to measure."""
        return super().to_json() | {
            "pq": finite(dataclasses.asdict(self.pq)),
            "vpq": None if self.vpq is None else _vpq_json(self.vpq),
            "identity": None if self.identity is None else finite(dataclasses.asdict(self.identity)),
        }


def _vpq_json(vpq: VpqScore) -> dict[str, Any]:
    at = {str(k): finite(dataclasses.asdict(score)) for k, score in vpq.at.items()}
    return finite({"mean": vpq.mean, "things": vpq.things, "stuff": vpq.stuff}) | {"at": at}


def compare_panoptic(
    model: Model,
    runs: Sequence[Run],
    clips: Sequence[Clip[PanopticScene | None]],
    spacing: int | None,
    on_frame: Callable[[], None] = lambda: None,
) -> list[PanopticRunScore]:
    """Process every clip with every run, and score them; see `take_turns`.

    Args:
        model: one that gives panoptic maps.
        runs: what to compare.
        clips: with the model's labels.
        spacing: labelled frames from one frame of a window of VPQ to the next, see `VpqMeter`; None = the clips are no videos.
        on_frame: called after each frame of each run.

    Raises:
        EdgesegError: a setting cannot work with this model, a graph failed, or a clip cannot be read.
    """
    scorers = [_Scorer(run, model.bundle.labels, spacing) for run in runs]
    take_turns(model, scorers, clips, on_frame)
    return [scorer.score() for scorer in scorers]


class _Scorer:
    """Collects what one run found and took."""

    def __init__(self, run: Run, labels: Sequence[Label], spacing: int | None) -> None:
        self.run = run
        self._clip = ""
        self._cost = CostMeter(run)
        self._pq = PqMeter(labels)
        self._vpq = None if spacing is None else VpqMeter(labels, spacing=spacing)
        self._identity = IdentityMeter(labels) if run.settings.track else None

    def begin(self, clip: str) -> None:
        self._clip = clip
        self._cost.begin()
        if self._vpq is not None:
            self._vpq.begin(clip)

    def add(self, result: Result, cost_s: float, truth: PanopticScene | None) -> None:
        self._cost.add(result, cost_s)
        if truth is None:
            return
        self._pq.add(result.panoptic, truth.panoptic)
        if self._vpq is not None:
            self._vpq.add(result.panoptic, truth.panoptic)
        if self._identity is not None:
            self._identity.add(self._clip, result, truth.things)

    def score(self) -> PanopticRunScore:
        return PanopticRunScore(
            **vars(self._cost.compute()),
            pq=self._pq.compute(),
            vpq=None if self._vpq is None else self._vpq.compute(),
            identity=None if self._identity is None else self._identity.compute(),
        )
