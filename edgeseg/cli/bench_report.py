"""A measurement, and the comparison of two, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeseg.benchmark.comparison import Comparison
from edgeseg.benchmark.measure import INFER
from edgeseg.benchmark.record import LATENCY
from edgeseg.cli.report import table

_QUANTILES = ("p50", "p90", "p99", "max", "mean")
_BOTH = {"clock_mhz": "clock {:.0f} to {:.0f} MHz", "temperature_c": "{:.0f} to {:.0f} degrees"}
_UNITS = _BOTH | {"load_1_min": "load {:.2f} to {:.2f}"}
_GPU_UNITS = _BOTH | {"power_w": "{:.0f} to {:.0f} W"}
NAMES = {INFER: "infer", LATENCY: "capture to result"}


def record_text(found: Mapping[str, Any]) -> str:
    """Durations by step, stages, what else was measured, and the doubts."""
    header = ("milliseconds", "frames", "n", *_QUANTILES)
    rows = [
        (NAMES[what], step, str(part["n"]), *[f"{part[name]:.2f}" for name in _QUANTILES])
        for what in NAMES
        for step, part in found[f"{what}_ms"].items()
    ]
    stages = [(name, *[f"{part[quantile]:.2f}" for quantile in _QUANTILES]) for name, part in found["stages_ms"].items()]
    return "\n".join(
        [
            table([header, *rows], right=range(2, len(header))),
            "",
            table([("stage, ms", *_QUANTILES), *stages], right=range(1, len(_QUANTILES) + 1)),
            "",
            table(list(_facts(found))),
            "",
            *_doubt_lines(found),
        ]
    )


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    warm_up, drops, memory, single = found["warm_up_ms"], found["drops"], found["memory_mib"], found["single_stream"]
    yield "speed", f"{found['frames']} frames in {found['seconds']:.2f} s, {found['frames_per_s']:.1f} frames/s with reading"
    yield "warm-up", f"loading {found['load_s']:.2f} s; first frame {warm_up[0]:.1f} ms, last of {len(warm_up)} {warm_up[-1]:.1f} ms"
    at_most = {name: single[f"{name}_at_most_ms"] for name in ("p90", "p99")}
    bounds = [f"{name} at most {value:.2f} ms" for name, value in at_most.items() if value is not None]
    short = "" if single["long_enough"] else f"; MLPerf asks for {single['least_s']} s"
    yield "single stream", f"{', '.join(bounds) or 'too few frames'} (99 % sure){short}"
    yield "drops", f"{drops['source']} by the source, {drops['schedule']} by the schedule"
    if memory["begin"] is not None:
        yield "memory", f"{memory['begin']:.0f} MiB at the beginning, {memory['end']:.0f} MiB at the end, {memory['peak']:.0f} MiB at most"
    joules = found["energy_j_per_frame"]
    yield "energy", "no sensor" if joules is None else f"{joules:.3f} J a frame, as far as the sensors see"
    yield "bundle", f"{found['bundle']['recipe']}, {found['precision']}, run {found['run']}"
    backend, machine = found["backend"], found["machine"]
    yield "machine", ", ".join(filter(None, (machine.get("board"), machine["cpu"], machine.get("gpu"), f"{machine['cores']} cores")))
    yield "backend", f"{backend['name']} {backend['version']} on {backend['runs_on']}"
    yield "sensors", _sensors_text(found["readings"])


def _sensors_text(readings: list[Mapping[str, Any]]) -> str:
    gpus = [reading["gpu"] or {} for reading in readings]
    told = [*_changes(readings, _UNITS), *(f"GPU {text}" for text in _changes(gpus, _GPU_UNITS))]
    return ", ".join(told) or "none"


def _changes(looks: list[Mapping[str, Any]], units: Mapping[str, str]) -> Iterator[str]:
    """From the first look to the last, of what both tell."""
    first, last = looks[0], looks[-1]
    for name, text in units.items():
        if first.get(name) is not None and last.get(name) is not None:
            yield text.format(first[name], last[name])


def _doubt_lines(found: Mapping[str, Any]) -> list[str]:
    if not found["doubts"]:
        return ["No doubts: enough samples, a steady speed, and a machine that did nothing else."]
    return ["Do not rely on these numbers:", *[f"- {doubt['text']}" for doubt in found["doubts"]]]


def comparison_rows(rows: Mapping[tuple[str, str], tuple[float, float, Comparison]]) -> str:
    """A line for each duration and step: both medians in seconds, their ratio with its bounds, and what the second is."""
    header = ("milliseconds", "frames", "first", "second", "ratio", "99 % within", "the second is")
    lines = [
        (
            NAMES[what],
            step,
            f"{first_s * 1e3:.2f}",
            f"{second_s * 1e3:.2f}",
            f"{found.ratio:.3f}",
            f"{found.low:.3f} to {found.high:.3f}",
            found.verdict,
        )
        for (what, step), (first_s, second_s, found) in rows.items()
    ]
    return table([header, *lines], right=range(2, 5))
