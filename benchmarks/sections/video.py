"""What a frame of video costs, and what grows meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Record, Records, Section, machine, machines, ms, table


def _frames(records: Records) -> Iterator[str]:
    for record in records.values():
        yield f"{record['what']}. Runs on {record['runs_on']}."
        yield ""
        yield from machine(record["conditions"])
        yield from table(
            ("", "mean cost against `every`", "p50", "p99", "longest", "processor time a frame", "steps"),
            ((name, *_cost(found)) for name, found in record["contenders"].items()),
        )


def _cost(found: Record) -> Iterator[str]:
    yield f"{found['mean_over_every']:.3g}"
    yield from (ms(found[key]) for key in ("p50_ms", "p99_ms", "max_ms", "cpu_ms_per_frame"))
    yield ", ".join(f"{count} {step}" for step, count in found["steps"].items())


def _growth(records: Records) -> Iterator[str]:
    yield from machines({name: record["conditions"] for name, record in records.items()})
    yield from table(
        ("", "memory after the warm-up", "at the end", "threads before, during, after", "ids given", "shared or used again"),
        (_growth_row(record) for record in records.values()),
    )


def _growth_row(record: Record) -> tuple[object, ...]:
    return (
        record["what"],
        *(f"{record[f'memory_mb_{when}']:.1f} MB" for when in ("after_warm_up", "at_the_end")),
        ", ".join(map(str, record["threads_before_during_after"])),
        record["ids_given"],
        record["ids_shared_in_a_frame"] + record["ids_used_again_after_expiry"],
    )


FRAMES = Section(
    "What a frame of video costs",
    "Contenders take turns on stretches of 25 frames of one clip. Overlapped contenders get their frames at 30 a second, as from a "
    "camera; with filler weights their results are few. [Which schedule](schedules.md) and [Mask R-CNN](maskrcnn.md) say more.",
    ("video_frame_demo", "video_frame", "video_frame_maskrcnn_demo", "video_frame_maskrcnn"),
    ("python -m benchmarks.video_frame --bundle BUNDLE --clip video.mp4 --out benchmarks/results/video_frame.json",),
    _frames,
)
GROWTH = Section(
    "Memory, threads and ids",
    "Tracking, smoothing and overlapped key frames switched on, but for the panoptic model, which has none of the last two.",
    ("video_soak_fake", "video_soak_demo", "video_soak_panoptic"),
    (
        "python -m benchmarks.video_soak --frames 20000 --fake --out benchmarks/results/video_soak_fake.json",
        "python -m benchmarks.video_soak --frames 3000 --out benchmarks/results/video_soak_demo.json",
        "python -m benchmarks.video_soak --frames 2000 --panoptic --out benchmarks/results/video_soak_panoptic.json",
    ),
    _growth,
)
