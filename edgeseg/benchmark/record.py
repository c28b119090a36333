"""A measurement as JSON: with all durations, so that it can be judged and compared later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.benchmark.doubts import Doubt
from edgeseg.benchmark.measure import INFER, Samples
from edgeseg.benchmark.sensors import energy_j
from edgeseg.benchmark.spread import at_most, quantiles_ms
from edgeseg.errors import EvaluationError
from edgeseg.types import F64Array, Step

FORMAT, FORMAT_VERSION = "edgeseg-bench", 1
LATENCY = "capture_to_result"
SINGLE_STREAM_S = 600
"""What MLPerf's single stream lasts at least."""


def record(samples: Samples, found: list[Doubt], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The whole record; durations in milliseconds, to a tenth of a microsecond.

    Args:
        samples: what was measured.
        found: reasons to doubt it.
        facts: what was measured, and on what: bundle, backend, source, machine.
    """
    n, answered = len(samples.steps), samples.answered
    joules = energy_j(samples.readings)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **facts,
        "frames": n,
        "seconds": round(samples.wall_s, 3),
        "frames_per_s": round(n / samples.wall_s, 3),
        "warm_up_ms": _ms(np.array(samples.warm_up_s)),
        "drops": {"source": samples.missed, "schedule": int(n - answered.sum())},
        "infer_ms": _by_step(samples, samples.stages_s.get(INFER)),
        f"{LATENCY}_ms": _by_step(samples, samples.latency_s),
        "stages_ms": {name: quantiles_ms(values[~np.isnan(values)]) for name, values in samples.stages_s.items()},
        "single_stream": _single_stream(samples),
        "memory_mib": {name: _rounded(value) for name, value in zip(("begin", "end", "peak"), samples.memory_mib, strict=True)},
        "energy_j_per_frame": _rounded(None if joules is None else joules / n, 4),
        "readings": [asdict(reading) for reading in samples.readings],
        "doubts": [asdict(doubt) for doubt in found],
        "samples": {
            "step": [step.value for step in samples.steps],
            "infer_ms": _ms(samples.stages_s.get(INFER, np.full(n, np.nan))),
            f"{LATENCY}_ms": _ms(samples.latency_s),
        },
    }


def _by_step(samples: Samples, values_s: F64Array | None) -> dict[str, dict[str, float]]:
    """Percentiles over the results of each step, and over all where there are several."""
    if values_s is None:
        return {}
    measured = samples.answered & ~np.isnan(values_s)
    groups = {step.value: measured & samples.of(step) for step in Step}
    found = {name: {"n": int(group.sum()), **quantiles_ms(values_s[group])} for name, group in groups.items() if group.any()}
    return found if len(found) < 2 else {"all": {"n": int(measured.sum()), **quantiles_ms(values_s[measured])}, **found}


def _single_stream(samples: Samples) -> dict[str, Any]:
    """What MLPerf reports of a single stream, and whether the run was as long as it asks."""
    values_s = samples.latency_s[samples.answered]
    bounds = {f"{name}_at_most_ms": at_most(values_s, part) for name, part in (("p90", 0.9), ("p99", 0.99))}
    return {
        **{name: None if bound is None else round(bound * 1e3, 4) for name, bound in bounds.items()},
        "least_s": SINGLE_STREAM_S,
        "long_enough": samples.wall_s >= SINGLE_STREAM_S,
    }


def _ms(values_s: F64Array) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value) * 1e3, 4) for value in values_s]


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


@dataclass(frozen=True, repr=False)
class Record:
    """A record that was read."""

    path: Path
    content: Mapping[str, Any]

    @property
    def artefact(self) -> dict[str, Any]:
        """What was measured: the files of the model by their hashes, and the precision that ran."""
        return {"hashes": self.content["bundle"]["hashes"], "precision": self.content["precision"]}

    def durations_s(self, what: str, step: str) -> F64Array:
        """Durations float64 (N,) of `LATENCY` or `INFER`, of the frames of one step that have one."""
        held = self.content["samples"]
        pairs = zip(held["step"], held[f"{what}_ms"], strict=True)
        return np.array([value / 1e3 for one, value in pairs if value is not None and one == step])


def read_record(path: Path) -> Record:
    """Read what ``edgeseg bench --json`` wrote.

    Raises:
        EvaluationError: the file cannot be read, or is none, or of a newer edgeseg.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read as a result of 'edgeseg bench --json': {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise EvaluationError(f"{path} is not a result of 'edgeseg bench --json'. Measure anew.")
    if content.get("format_version") != FORMAT_VERSION:
        raise EvaluationError(f"{path} has format version {content.get('format_version')}, not {FORMAT_VERSION}. Measure anew.")
    return Record(path, content)
