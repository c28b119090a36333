"""Contenders of a case, frame by frame, and what is said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeseg.benchmark.doubts import doubts
from edgeseg.benchmark.measure import INFER, Samples
from edgeseg.benchmark.sensors import Watch
from edgeseg.benchmark.spread import at_most, least_samples
from edgeseg.cli.report import table
from edgeseg.model import Model
from edgeseg.pipeline import Pipeline
from edgeseg.types import Frame, Step, U8Array

from .frame import encode, share_outside
from .paired import Timing, ratio
from .peers import Opened, Peer

PERCENTILES = {"p90": 0.9, "p99": 0.99}
"""What is reported, and its part."""
_CHANGING = ("drift", "unsteady", "bimodal")
"""Kinds of doubts about one contender; the others are about the machine."""


@dataclass
class Stream:
    """edgeseg on one frame after the other, as a `benchmarks.paired.Contender`."""

    model: Model
    pipeline: Pipeline
    pictures: Sequence[U8Array]
    found: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __call__(self) -> Mapping[str, float]:
        clock, number = self.model.clock, len(self.steps)
        start_s = clock()
        result = self.pipeline.step(Frame(self.pictures[number % len(self.pictures)], number, start_s))
        encode(result)
        self.steps.append(result.step)
        self.found.append(0 if result.instances is None else len(result.instances))
        return {**result.spans, "total": clock() - start_s}

    @property
    def facts(self) -> dict[str, Any]:
        """What ran it."""
        return {"runs_on": f"{self.model.choice.name}: {self.model.runs_on}"}


@dataclass
class PeerStream:
    """A peer on one frame after the other."""

    peer: Peer
    opened: Opened
    pictures: Sequence[U8Array]
    found: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __call__(self) -> Mapping[str, float]:
        answer = self.opened.run(self.pictures[len(self.steps) % len(self.pictures)])
        self.steps.append(Step.KEY)
        self.found.append(answer.found)
        return answer.spans

    @property
    def facts(self) -> dict[str, Any]:
        """What ran, and what of it is comparable."""
        return {**self.opened.facts, "same": self.peer.same, "differs": self.peer.differs}


def told(timing: Timing, first: Timing, stream: Stream | PeerStream) -> dict[str, Any]:
    """What is said of one contender: its time against the first, percentiles, and what it found."""
    values_s, warm_up = np.array(timing.values_s), len(timing.warm_up_s)
    steps = stream.steps[warm_up:]
    whole = len(timing.parts_s.get(INFER, ())) == len(values_s)
    bounds = {name: at_most(values_s, part) for name, part in PERCENTILES.items()}
    return {
        **stream.facts,
        "found": float(np.median(stream.found[warm_up:])),
        "steps": {step.value: count for step, count in Counter(steps).items()},
        "step_median_ms": {step.value: _ms(np.median(values_s[[one is step for one in steps]])) for step in dict.fromkeys(steps)},
        **{f"{name}_ms": _ms(np.percentile(values_s, 100 * part)) for name, part in PERCENTILES.items()},
        **{f"{name}_at_most_ms": None if bound is None else _ms(bound) for name, bound in bounds.items()},
        "times_as_long_as_first": ratio(timing, first),
        "outside_the_network": share_outside(timing.parts_s) if whole and "total" in timing.parts_s else None,
        "timing": timing.to_json(),
    }


def doubts_of(timings: Mapping[str, Timing], streams: Mapping[str, Stream | PeerStream], watch: Watch) -> list[str]:
    """What makes the numbers doubtful: of each contender, and of the machine once."""
    found = [f"{name}: {text}" for name, timing in timings.items() for text in _too_few(timing)]
    of_machine: dict[str, None] = {}
    for name, timing in timings.items():
        for doubt in doubts(_samples(timing, streams[name].steps, watch)):
            if doubt.kind in _CHANGING:
                found.append(f"{name}: {doubt.text}")
            elif doubt.kind != "few":
                of_machine[doubt.text] = None
    return [*found, *of_machine]


def _samples(timing: Timing, steps: Sequence[Step], watch: Watch) -> Samples:
    """What `edgeseg bench` would have of one contender."""
    values_s = np.array(timing.values_s)
    counted = tuple(steps[len(timing.warm_up_s) :])
    return Samples(timing.warm_up_s, counted, values_s, {}, float(values_s.sum()), 0, tuple(watch.readings), (None, None, None))


def _too_few(timing: Timing) -> Iterator[str]:
    for name, part in PERCENTILES.items():
        if len(timing.values_s) < least_samples(part):
            yield f"{len(timing.values_s)} rounds say nothing certain of {name}, which takes {least_samples(part)}"


def case_text(found: Mapping[str, Any]) -> str:
    """A table, who was left out, and the doubts."""
    rows = [
        (
            *(name, *(f"{value:.2f}" for value in (one["timing"]["median_ms"], one["p90_ms"], one["p99_ms"]))),
            *(f"{one['times_as_long_as_first']['median']:.3f}", f"{one['found']:g}"),
        )
        for name, one in found["contenders"].items()
    ]
    header = ("milliseconds", "median", "p90", "p99", "times as long", "found")
    return "\n".join([table([header, *rows], right=range(1, len(header))), *(f"- {doubt}" for doubt in found["doubts"])])


def _ms(seconds: Any) -> float:
    return round(float(seconds) * 1e3, 3)
