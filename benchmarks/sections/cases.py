"""Edgeseg beside what others have for the same task."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Record, Records, Section, machine, ms, percent, ratio, table


def _cases(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["conditions"])
        for name, found in record["cases"].items():
            yield from _case(name, found)


def _case(name: str, found: Record) -> Iterator[str]:
    case, artefact = found["case"], found["artefact"]
    height, width = case["source_size"]
    where = "one picture" if case["source"] == "picture" else "a synthetic stream"
    size = " x ".join(map(str, reversed(artefact["input_size"])))
    yield from (f"### {case['what']}", "")
    yield (
        f"Case `{name}`: {where} of {width} x {height}, the network sees {size}; run `{case['run']}`, score above {found['score']:.3g}; "
        f"{case['rounds']} rounds after {case['warm_up']} of warm-up."
    )
    yield ""
    yield from table(
        ("", "median", "p90 (at most)", "p99 (at most)", "times as long as the first", "outside the network", "found"),
        ((label, *_contender(one)) for label, one in found["contenders"].items()),
    )
    yield from _notes(found)


def _contender(one: Record) -> Iterator[str]:
    steps = ", ".join(f"{step} {ms(value)}" for step, value in one["step_median_ms"].items())
    yield ms(one["timing"]["median_ms"]) + (f" ({steps})" if len(one["steps"]) > 1 else "")
    for name in ("p90", "p99"):
        bound = one[f"{name}_at_most_ms"]
        yield f"{ms(one[f'{name}_ms'])} ({'too few rounds' if bound is None else ms(bound)})"
    share = one["outside_the_network"]
    yield from (ratio(one["times_as_long_as_first"]), "" if share is None else percent(share, 1), f"{one['found']:g}")


def _notes(found: Record) -> Iterator[str]:
    peers = {name: one for name, one in found["contenders"].items() if "same" in one}
    yield from (f"- {name}{_versions(one)}. Equal: {one['same']}. Not equal: {one['differs']}." for name, one in peers.items())
    yield from (f"- {name} was left out: {reason}." for name, reason in found["left_out"].items())
    yield from (f"- Doubt: {doubt}." for doubt in found["doubts"] if "say nothing certain" not in doubt)
    yield ""


def _versions(one: Record) -> str:
    told = ", ".join(f"{package} {one[package]}" for package in ("torch", "torchvision", "ultralytics") if package in one)
    return f" ({told})" if told else ""


CASES = Section(
    "Beside others",
    "Backends and precisions of edgeseg, and what others have for the same task, in turns in one run. 'At most' is what the percentile "
    "exceeds with a chance of 1 in 100 only, as MLPerf reports it. Nets of official names have deterministic filler weights, which find "
    "things that are not there; the score is set so that about as many pass as the case says. "
    "[cases.toml](../benchmarks/cases.toml) holds the cases. Peers belong to no extra: "
    "install torchvision and ultralytics in an environment of its own.",
    ("cases",),
    ("python -m benchmarks.cases --out benchmarks/results/cases.json",),
    _cases,
)
