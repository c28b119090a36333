"""What the small models find, in every precision and under every schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .base import Record, Records, Section, machine, machines, ms, ratio, table

_TRUTHS = {
    "every_visible_instance": "every visible instance, down to a single pixel",
    "instances_at_least_15_percent_visible": "instances of which at least 15 % is visible",
}
_MODELS = {"demo_accuracy": "the demo bundle", "maskrcnn_demo_accuracy": "the small Mask R-CNN of the tests"}


def _small_models(records: Records) -> Iterator[str]:
    yield from machines({_MODELS[name]: record["conditions"] for name, record in records.items()})
    yield from table(
        ("model", "ground truth", "mask AP", "AP50", "AP75", "instances"),
        (
            (_MODELS[name], words, *(f"{record[truth][key]:.3f}" for key in ("ap", "ap50", "ap75")), record[truth]["instances"])
            for name, record in records.items()
            for truth, words in _TRUTHS.items()
        ),
    )


def _precisions(records: Records) -> Iterator[str]:
    for record in records.values():
        ways = {name: one for name, one in record.items() if isinstance(one, Mapping)}
        first = next(iter(ways.values()))
        yield f"{first['what']}; every visible instance counts."
        yield ""
        yield from machine(first["conditions"])
        rows = (_precision_row(name, one, first) for name, one in ways.items())
        yield from table(("", "mask AP", "AP50", "AP75", "AP change in points"), rows)


def _precision_row(name: str, one: Record, first: Record) -> tuple[str, ...]:
    found, reference = one["every_visible_instance"], first["every_visible_instance"]["ap"]
    change = "" if one is first else f"{100 * (found['ap'] - reference):+.2f}"
    return name, *(f"{found[key]:.4f}" for key in ("ap", "ap50", "ap75")), change


def _schedules(records: Records) -> Iterator[str]:
    for record in records.values():
        yield f"{record['what']}."
        yield ""
        yield from machine(record["conditions"])
        costs = record["bounds"]["cost_of_every"]
        yield from table(
            ("run", "mask AP", "cost against `every`", "mean", "p99", "HOTA", "flicker"),
            (_schedule_row(run, costs.get(run["run"])) for run in record["runs"]),
        )
        yield from ("![Accuracy and cost against the key interval](video_accuracy.png)", "")


def _schedule_row(run: Record, cost: Mapping[str, float] | None) -> tuple[str, ...]:
    identity = run["identity"]
    return (
        *(f"`{run['run']}`", f"{run['mask_ap']['ap']:.3f}", "1" if cost is None else ratio(cost)),
        *(ms(run["cost_ms"]["mean"]), ms(run["cost_ms"]["p99"])),
        *("" if identity is None else f"{identity['hota']:.3f}", f"{run['stability']['flicker']:.3f}"),
    )


def _panoptic(records: Records) -> Iterator[str]:
    for record in records.values():
        yield f"{record['what']}."
        yield ""
        yield from machine(record["conditions"])
        keys = ("PQ", "PQ things", "PQ stuff", "VPQ", "VPQ things", "HOTA", "IDF1")
        yield from table(("", *keys), ((name, *(f"{found[key]:.3f}" for key in keys)) for name, found in record["contenders"].items()))


SMALL_MODELS = Section(
    "What the small models find",
    "Frames of synthetic scenes whose seeds training never used, scored with pycocotools.",
    ("demo_accuracy", "maskrcnn_demo_accuracy"),
    (
        "python -m benchmarks.demo_accuracy --out benchmarks/results/demo_accuracy.json",
        "python -m benchmarks.demo_accuracy --bundle tests/data/maskrcnn/demo --out benchmarks/results/maskrcnn_demo_accuracy.json",
    ),
    _small_models,
)
PRECISIONS = Section(
    "What precision costs in accuracy",
    "The demo bundle. The record puts together one record of each way to run it; [Precision](precision.md) has the larger nets.",
    ("demo_precisions",),
    ("python -m benchmarks.demo_accuracy --backend openvino --precision int8 --out openvino_int8.json",),
    _precisions,
)
SCHEDULES = Section(
    "What schedules cost in accuracy",
    "Every schedule gets each frame in turn. Costs are means over the clips, with quartiles. [Which schedule](schedules.md) says more.",
    ("video_accuracy",),
    (
        "python -m benchmarks.video_accuracy --out benchmarks/results/video_accuracy.json",
        "python -m benchmarks.plot_video benchmarks/results/video_accuracy.json docs/video_accuracy.png",
    ),
    _schedules,
)
PANOPTIC = Section(
    "What the small panoptic models find",
    "VPSNet against UPSNet frame by frame with a tracker; [Panoptic segmentation](panoptic.md) says what the numbers mean.",
    ("panoptic_accuracy",),
    ("python -m benchmarks.panoptic_accuracy --clips 12 --out benchmarks/results/panoptic_accuracy.json",),
    _panoptic,
)
