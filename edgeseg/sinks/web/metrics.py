"""Counts and durations of a run in Prometheus' text format."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from edgeseg.types import Frame, Result, Step

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the histograms' buckets, seconds."""
_RATE_FRAMES = 30
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Family:
    """A metric with its samples, or those of one stream."""

    name: str
    kind: str
    says: str
    lines: tuple[str, ...]


class Histogram:
    """How many durations fell under each of ``BUCKETS_S``."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterator[str]:
        """Its samples in Prometheus' text format."""
        counts = list(accumulate(self._counts))
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
            yield sample(f"{name}_bucket", {**labels, "le": bound}, count)
        yield sample(f"{name}_sum", labels, self._sum_s)
        yield sample(f"{name}_count", labels, counts[-1])


class Metrics:
    """What a run has done so far. Frames are added on one thread and read on another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: Counter[Step] = Counter()
        self._age, self._stages = Histogram(), dict[str, Histogram]()
        self._times_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._last_index: int | None = None
        self._found = 0
        self.drops = 0
        """Frames that the source skipped: gaps in their numbers."""
        self._reconnects = 0

    def add(self, frame: Frame, result: Result, now_s: float) -> None:
        """Count one frame that was finished at ``now_s``, seconds of the monotonic clock."""
        with self._lock:
            if self._last_index is not None:
                self.drops += max(0, frame.index - self._last_index - 1)
            self._last_index, self._reconnects = frame.index, frame.reconnects
            self._steps[result.step] += 1
            self._found = 0 if result.instances is None else len(result.instances)
            self._times_s.append(now_s)
            self._age.add(result.age_s)
            for name, seconds in result.spans.items():
                self._stages.setdefault(name, Histogram()).add(seconds)

    @property
    def rate(self) -> float | None:
        """Frames a second of late; None before the second frame."""
        with self._lock:
            passed_s = self._times_s[-1] - self._times_s[0] if self._times_s else 0.0
            return (len(self._times_s) - 1) / passed_s if passed_s > 0 else None

    def silent_s(self, now_s: float) -> float | None:
        """Seconds since the last frame; None before the first."""
        with self._lock:
            return now_s - self._times_s[-1] if self._times_s else None

    def families(self, labels: Mapping[str, str]) -> list[Family]:
        """All of it; every sample carries the labels."""
        with self._lock:
            steps = [({**labels, "step": step.value}, self._steps[step]) for step in Step]
            stages = [(histogram, {**labels, "stage": stage}) for stage, histogram in self._stages.items()]
            return [
                metric("frames_total", "counter", "Frames processed.", [(labels, sum(self._steps.values()))]),
                metric("frames_dropped_total", "counter", "Frames that the source skipped.", [(labels, self.drops)]),
                metric("reconnects_total", "counter", "Connections that the source made anew.", [(labels, self._reconnects)]),
                metric("steps_total", "counter", "Frames by how much work they got.", steps),
                metric("instances", "gauge", "Instances in the newest frame.", [(labels, self._found)]),
                _histograms("age_seconds", "From the capture of a frame to its result.", [(self._age, labels)]),
                _histograms("stage_seconds", "What each stage of a frame took.", stages),
            ]


def metric(name: str, kind: str, says: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Family:
    """A counter or gauge with its samples."""
    return Family(name, kind, says, tuple(sample(f"edgeseg_{name}", labels, value) for labels, value in samples))


def _histograms(name: str, says: str, histograms: Iterable[tuple[Histogram, Mapping[str, str]]]) -> Family:
    lines = (line for histogram, labels in histograms for line in histogram.lines(f"edgeseg_{name}", labels))
    return Family(name, "histogram", says, tuple(lines))


def text_of(families: Iterable[Family]) -> str:
    """Prometheus' text format, in which all samples of a metric stand together; one without samples is left out."""
    found: dict[str, list[Family]] = {}
    for family in families:
        found.setdefault(family.name, []).append(family)
    lines = []
    for name, same in found.items():
        samples = [line for family in same for line in family.lines]
        if samples:
            lines += [f"# HELP edgeseg_{name} {same[0].says}", f"# TYPE edgeseg_{name} {same[0].kind}", *samples]
    return "\n".join([*lines, ""])


def sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """One line with a value."""
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
