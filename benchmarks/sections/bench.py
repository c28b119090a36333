"""What `edgeseg bench` wrote, and what `edgeseg compare` says of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from edgeseg.benchmark.comparison import compare_unpaired
from edgeseg.benchmark.doubts import PARTS
from edgeseg.benchmark.record import LATENCY
from edgeseg.types import F64Array

from .base import Record, Records, Section, machines, ms, table

_QUANTILES = ("p50", "p90", "p99", "max")


def _measured(records: Records) -> Iterator[str]:
    yield from machines(
        {name: {**record["machine"], "load_1_min": record["readings"][0]["load_1_min"]} for name, record in records.items()}
    )
    first = next(iter(records.values()))
    yield f"`{first['bundle']['recipe']}`, run `{first['run']}`, {first['backend']['runs_on']}; from capture to result:"
    yield ""
    yield from table(
        ("record", "precision", "frames", "n", *_QUANTILES, "doubts"),
        (
            (name, record["precision"], step, part["n"], *(ms(part[key]) for key in _QUANTILES), _doubts(record))
            for name, record in records.items()
            for step, part in record[f"{LATENCY}_ms"].items()
        ),
    )
    yield from _compared(records)


def _doubts(record: Record) -> str:
    return ", ".join(sorted({doubt["kind"] for doubt in record["doubts"]})) or "none"


def _compared(records: Records) -> Iterator[str]:
    """Every pair of records, step by step. The bounds are left out: they depend on the version of NumPy that draws them."""
    yield from table(
        ("first", "second", "frames", "ratio of medians", "the second is"),
        (
            (names[0], names[1], step, *_verdict(*(_durations(records[name], step) for name in names)))
            for names in itertools.combinations(records, 2)
            for step in ("key", "warp", "propagate")
            if min(len(_durations(records[name], step)) for name in names) >= PARTS
        ),
    )


def _verdict(first: F64Array, second: F64Array) -> tuple[str, str]:
    found = compare_unpaired(first, second)
    return f"{found.ratio:.2f}", found.verdict


def _durations(record: Record, step: str) -> F64Array:
    held = record["samples"]
    return np.array([value for one, value in zip(held["step"], held[f"{LATENCY}_ms"], strict=True) if one == step])


BENCH = Section(
    "What `edgeseg bench` and `edgeseg compare` say",
    "The same thing measured twice, and another precision. Doubts are those that `bench` printed below its numbers.",
    ("bench_demo_fp32", "bench_demo_fp32_again", "bench_demo_int8"),
    (
        (
            "edgeseg bench edgeseg/data/demo --run fixed:5+propagate+track --threads 1 --frames 500 "
            "--json benchmarks/results/bench_demo_fp32.json"
        ),
        "edgeseg compare benchmarks/results/bench_demo_fp32.json benchmarks/results/bench_demo_int8.json --different",
    ),
    _measured,
)
