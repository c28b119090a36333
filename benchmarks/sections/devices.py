"""What ran on a GPU, and what was built for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .base import Record, Records, Section, machine, ms, table

_WAYS = {"host": "host", "device": "GPU", "device, decoded there": "GPU, the frame already in page-locked memory"}


def _gpu(records: Records) -> Iterator[str]:
    for record in records.values():
        gpu = record["machine"]["gpu"]
        yield f"{gpu['name']}, driver {gpu['driver_version']}. TensorRT was not at hand. TensorRT-RTX said:"
        yield record["tensorrt_rtx_on_hopper"]
        yield ""
        yield from machine(record["machine"]["host"])
        counts = {name: Counter(one["outcome"] for one in record[name]) for name in ("test_device", "contract", "test_onnxruntime")}
        told = (f"`{name}`: {', '.join(f'{n} {outcome}' for outcome, n in sorted(count.items()))}" for name, count in counts.items())
        yield f"Tests: {'; '.join(told)}."
        yield ""
        yield from _providers(record["providers"])
        yield from _eager(record["eager"])


def _providers(providers: Record) -> Iterator[str]:
    backend, found = "onnxruntime-cuda", providers["onnxruntime-cuda"]
    rounds = {timed["frame"]["count"] for one in found.values() for timed in one.get("timed", {}).values()}
    yield f"A 1080p frame in, run-length masks out, `{backend}`; medians, {' or '.join(map(str, sorted(rounds)))} rounds:"
    yield ""
    yield from table(
        ("", "precision", "the graph", "outside it", "the frame", "p99 of the frame"),
        (
            (
                *(name, precision, *(_us(timed[part]) for part in ("infer",))),
                *(_ms(timed["frame"]["median_us"] - timed["infer"]["median_us"]), _us(timed["frame"]), _ms(timed["frame"]["p99_us"])),
            )
            for name, one in found.items()
            for precision, timed in one.get("timed", {}).items()
        ),
    )


def _eager(peers: Record) -> Iterator[str]:
    """The peer, whose time is to be held against that of the graph alone."""
    yield "`yolact_resnet50` beside it:"
    yield ""
    yield from table(
        ("", "precision", "median", "p99"),
        ((name, precision, ms(one["median_ms"]), ms(one["p99_ms"])) for name, found in peers.items() for precision, one in found.items()),
    )


def _us(found: Record) -> str:
    return _ms(found["median_us"])


def _ms(microseconds: float) -> str:
    return ms(microseconds / 1e3)


def _prepare(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["host"])
        columns = {f"{size}, {one['by']}": one[size] for name, one in record.items() if name != "host" for size in ("1080p", "720p")}
        rows = [(words, *(f"{found[way]['median_us']:.0f}" for found in columns.values())) for way, words in _WAYS.items()]
        kernel = ("of it the kernel", *(f"{found['device, decoded there']['kernel']['median_us']:.0f}" for found in columns.values()))
        yield from table(("median, microseconds", *columns), [*rows, kernel])


def _engines(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["conditions"])
        yield f"One engine for {', '.join(record['generations'])}."
        yield ""
        yield from table(
            ("graph", "precision", "engine", "seconds", "peak memory", "convolutions, of them half", "Q/DQ layers"),
            (
                (f"`{bundle.partition(' (')[0]}`, {graph}", precision, *_engine(built))
                for bundle, graphs in record["bundles"].items()
                for graph, precisions in graphs.items()
                for precision, built in precisions.items()
            ),
        )


def _engine(built: Record) -> tuple[object, ...]:
    layers = built["layers"]
    return (
        *(f"{built['engine_mb']:.1f} MB", f"{built['seconds']:.1f}", f"{built['peak_memory_mb']:.0f} MB"),
        *(f"{layers['convolutions']}, {layers['half_convolutions']}", layers["quantize_layers"]),
    )


GPU = Section(
    "On a GPU",
    "One call runs all tests and benchmarks that need a GPU, in less than nine minutes, each part as a process of its own with a time "
    "limit. [TensorRT and NVIDIA GPUs](tensorrt.md) says what follows from it.",
    ("gpu_h100",),
    ("benchmarks/run_gpu.sh FOLDER BUNDLE",),
    _gpu,
)
PREPARE = Section(
    "Where a frame is resized",
    "Until the GPU has the input of 550 x 550: either the host resizes with OpenCV and uploads the small picture, or the whole frame is "
    "uploaded and a kernel resizes it there, equal bit by bit.",
    ("device_prepare",),
    ("python -m benchmarks.device_prepare --out benchmarks/results/device_prepare.json",),
    _prepare,
)
ENGINES = Section(
    "What TensorRT-RTX builds",
    "Every graph in every precision, built on the CPU. Nothing is run, and an engine of TensorRT-RTX is finished on the GPU when it is "
    "loaded: these times say nothing about how long TensorRT itself builds. YOLACT R-50 has filler weights and all of its layers in "
    "int8; of the video model the heads' last layers are float32. It needs the extra `tensorrt-check`.",
    ("engine_builds",),
    ("python -m benchmarks.engine_builds BUNDLE ... --out benchmarks/results/engine_builds.json",),
    _engines,
)
