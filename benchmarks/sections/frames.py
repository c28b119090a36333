"""One frame in, masks out: edgeseg beside the same nets in PyTorch, and beside others."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Record, Records, Section, machine, ms, percent, ratio, rounds, table

_FILLER = (
    "The weights are deterministic filler under the official names: they change neither the network's cost nor the number of "
    "detections, but their masks are ragged, which makes run-length code dearer than real ones do."
)


def _against_eager(found: Record, name: str) -> str:
    return ratio(found["times_as_fast_as_eager"][name]) if name in found["times_as_fast_as_eager"] else "1"


def _outside(found: Record, name: str) -> str:
    share = found["outside_session_run"].get(name)
    return "" if share is None else percent(share, 1)


def _rows(found: Record) -> Iterator[tuple[str, ...]]:
    for name, timing in found["timings"].items():
        memory = found.get("peak_memory_mb", {}).get(name)
        yield (
            *(name, ms(timing["median_ms"]), ms(timing["p99_ms"]), _against_eager(found, name), _outside(found, name)),
            *(str(found["detections"][name]), "" if memory is None else f"{memory:.0f} MB"),
        )


_HEAD = ("", "median", "p99", "times as fast as eager", "outside the network", "detections", "peak memory")


def _one_frame(records: Records) -> Iterator[str]:
    for record in records.values():
        yield f"{record['what']}. {rounds(record['timings'])}"
        yield ""
        yield from machine(record["conditions"])
        yield from table(_HEAD, _rows(record))


def _maskrcnn(records: Records) -> Iterator[str]:
    for record in records.values():
        yield from machine(record["conditions"])
        for size, found in record["sizes"].items():
            height, width = found["network_hw"]
            yield f"Shorter side {size}: the network sees {width} x {height}. {rounds(found['timings'])}"
            yield ""
            yield from table(_HEAD, _rows(found))
            if found["parts"]:
                yield from _parts(found["parts"])


def _parts(parts: Record) -> Iterator[str]:
    names = list(next(iter(parts.values()))["parts"])
    yield from table(
        ("share of the graph", *parts),
        ((name, *(percent(one["parts"][name]["share"]) for one in parts.values())) for name in names),
    )


YOLACT = Section(
    "YOLACT: one frame in, masks out",
    "From the 1080p frame in memory to run-length masks. The peer is the same network in eager PyTorch, with post-processing as the "
    "original does it: every mask is enlarged to the whole frame. 'Outside the network' is all but the call of the backend, as a share "
    f"of that call. {_FILLER}",
    ("yolact_frame",),
    ("python -m benchmarks.yolact_frame --weights yolact_resnet50_54_800000.pth --rounds 30 --out benchmarks/results/yolact_frame.json",),
    _one_frame,
)
PRECISIONS = Section(
    "YOLACT in every precision",
    "The same frame and peer. All layers are in int8, as the search leaves those of the demo model: the budget was lifted, because "
    "filler weights do not keep it. 'Also' is the bundle that `--accept-loss` writes, with the heads' last layers in float32.",
    ("precision_frame",),
    (
        (
            "python -m benchmarks.precision_frame --bundle r50 --also r50-accepted --weights yolact_resnet50_54_800000.pth "
            "--out benchmarks/results/precision_frame.json"
        ),
    ),
    _one_frame,
)
MASKRCNN = Section(
    "Mask R-CNN: one frame in, masks out",
    "`maskrcnn_resnet50_fpn` on a 1080p frame, with 1000 proposals and 100 detections as the original and with 300 and 30. The peer is "
    "the same network in eager PyTorch with post-processing as torchvision does it. Shares come from graphs that are cut off after one "
    f"part after the other; a cut graph ends in a mean, so that small shares may come out below nothing. {_FILLER}",
    ("maskrcnn_frame",),
    (
        (
            "python -m benchmarks.maskrcnn_frame --weights maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth --rounds 8 --part-rounds 3 --warm-up 1 "
            "--out benchmarks/results/maskrcnn_frame.json"
        ),
    ),
    _maskrcnn,
)
