"""What a panoptic frame costs, and which part of it costs what."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Record, Records, Section, machine, machines, ms, percent, ratio, rounds, table

_PARTS = "times_as_fast_as_"


def _frame(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["conditions"])
        for size, backends in record["frames"].items():
            yield f"Frames of {size}, height first. {rounds(next(iter(backends.values()))['timings'])}"
            yield ""
            yield from table(("", "backend", "median", "p99", "outside the network"), _frame_rows(backends))
            yield from table(
                ("VPSNet that carries features", *backends),
                (
                    (key.replace("_", " "), *(ratio(found[key]) for found in backends.values()))
                    for key in next(iter(backends.values()))
                    if key.startswith(_PARTS)
                ),
            )


def _frame_rows(backends: Record) -> Iterator[tuple[str, ...]]:
    for backend, found in backends.items():
        for name, timing in found["timings"].items():
            parts = timing["parts_median_ms"]
            outside = ms(parts["prepare"] + parts["decode"]) if parts else ""
            yield name, backend, ms(timing["median_ms"]), ms(timing["p99_ms"]), outside


def _parts(records: Records) -> Iterator[str]:
    yield from machines({name: record["conditions"] for name, record in records.items()})
    names = list(next(iter(next(iter(records.values()))["backends"].values())))
    yield from table(
        ("frame, backend", *names, "all parts"),
        (
            _shares(f"{' x '.join(map(str, record['frame']))}, {backend}", found)
            for record in records.values()
            for backend, found in record["backends"].items()
        ),
    )


def _shares(label: str, found: Record) -> tuple[str, ...]:
    medians = [timing["median_ms"] for timing in found.values()]
    return label, *(percent(one / sum(medians)) for one in medians), ms(sum(medians))


def _head(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["before"])
        setups = record["setups"]
        yield rounds(next(iter(setups.values())))
        yield ""
        yield from table(
            ("", *setups),
            ((part, *(ms(found[part]["median_ms"]) for found in setups.values())) for part in next(iter(setups.values()))),
        )


FRAME = Section(
    "What a panoptic frame costs",
    "UPSNet, VPSNet that carries the features of the frame before, and VPSNet whose trunk runs on both frames, in turns; all steps are "
    "key frames. The eager peer leaves out RoIs and what is made of them. The weights are deterministic filler.",
    ("panoptic_frame_256",),
    (
        (
            "python -m benchmarks.panoptic_frame --eager --vpsnet cityscapes_vps_fusetrack_latest.pth --frames 256x512 "
            "--out benchmarks/results/panoptic_frame_256.json"
        ),
    ),
    _frame,
)
PARTS = Section(
    "Parts of VPSNet",
    "Every part is a graph of its own, and they take turns. Trust the shares more than the times.",
    ("panoptic_parts_256", "panoptic_parts_1024"),
    (
        (
            "python -m benchmarks.panoptic_parts --vpsnet cityscapes_vps_fusetrack_latest.pth --frame 256x512 "
            "--out benchmarks/results/panoptic_parts_256.json"
        ),
    ),
    _parts,
)
HEAD = Section(
    "The panoptic head on the host",
    "Medians of made-up pictures; below, what its dense part would take inside the graph.",
    ("panoptic_head",),
    ("python -m benchmarks.panoptic_head --out benchmarks/results/panoptic_head.json",),
    _head,
)
