"""The picture of a record of benchmarks.video_accuracy: accuracy and cost against key interval, and accuracy against distance.

python -m benchmarks.plot_video benchmarks/results/video_accuracy.json docs/video_accuracy.png
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from .video_accuracy import BETWEEN, DRIFTS, INTERVALS, REFERENCE

COLOURS = {"every": "#444444", "warp": "#0072B2", "propagate": "#D55E00"}
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
MARKERS = {"warp": "o", "propagate": "s"}
LABEL_PLACES: dict[str, Any] = {"warp": {"xytext": (6, -9)}, "propagate": {"xytext": (-6, 4), "ha": "right"}}
WORDS = {"warp": "warped between key frames", "propagate": "propagated between key frames"}
TITLES = ("Accuracy against key interval", "Cost against key interval", "Accuracy against distance to key frame", "Accuracy against cost")
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def main() -> int:
    """Draw."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot_video", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("record", type=Path, help="what benchmarks.video_accuracy wrote")
    parser.add_argument("picture", type=Path, help="file to write, .png")
    args = parser.parse_args()
    draw(json.loads(args.record.read_text(encoding="utf-8")), args.picture)
    return 0


def draw(record: dict[str, Any], picture: Path) -> None:
    """Write the four diagrams of one record."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    runs = {run["run"]: run for run in record["runs"]}
    with pyplot.rc_context(STYLE):
        figure, ((accuracy, cost), (distance, trade)) = pyplot.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
        _against_interval(accuracy, runs, "mask AP", lambda run: 100 * run["mask_ap"]["ap"])
        _against_interval(cost, runs, "ms per frame, mean", lambda run: run["cost_ms"]["mean"])
        cost.set_ylim(bottom=0)
        _against_distance(distance, runs)
        _against_cost(trade, runs)
        for axes, title in zip((accuracy, cost, distance, trade), TITLES, strict=True):
            axes.set_title(title, fontweight="bold")
        handles, labels = accuracy.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        figure.savefig(picture, dpi=130)
    pyplot.close(figure)


def _between(runs: dict[str, Any]) -> list[str]:
    return [step for step in BETWEEN if f"fixed:{INTERVALS[0]}+{step}" in runs]


def _against_interval(axes: Any, runs: dict[str, Any], label: str, value: Any) -> None:
    axes.axhline(value(runs[REFERENCE]), color=COLOURS["every"], linestyle="--", linewidth=1.2, label="every frame a key frame")
    for step in _between(runs):
        points = [(1, value(runs[REFERENCE])), *((n, value(runs[f"fixed:{n}+{step}"])) for n in INTERVALS)]
        axes.plot(*zip(*points, strict=True), color=COLOURS[step], marker=MARKERS[step], markersize=5, label=WORDS[step])
    axes.set_xticks((1, *INTERVALS))
    axes.set_xlabel("frames from one key frame to the next")
    axes.set_ylabel(label)


def _against_distance(axes: Any, runs: dict[str, Any]) -> None:
    longest = INTERVALS[-1]
    axes.axhline(100 * runs[REFERENCE]["mask_ap"]["ap"], color=COLOURS["every"], linestyle="--", linewidth=1.2)
    for step in _between(runs):
        at = runs[f"fixed:{longest}+{step}"]["mask_ap_by_distance"]
        points = [(int(distance), 100 * one["ap"]) for distance, one in at.items()]
        axes.plot(*zip(*points, strict=True), color=COLOURS[step], marker=MARKERS[step], markersize=5)
    axes.set_xticks(range(longest))
    axes.set_xlabel(f"frames since the key frame (a key frame every {longest})")
    axes.set_ylabel("mask AP")


def _against_cost(axes: Any, runs: dict[str, Any]) -> None:
    def at(name: str) -> tuple[float, float]:
        return runs[name]["cost_ms"]["mean"], 100 * runs[name]["mask_ap"]["ap"]

    axes.plot(*at(REFERENCE), color=COLOURS["every"], marker="D", linestyle="none")
    axes.annotate("every", at(REFERENCE), textcoords="offset points", xytext=(0, 7), ha="center", color=COLOURS["every"])
    for step in _between(runs):
        colour, marker = COLOURS[step], MARKERS[step]
        fixed = [at(f"fixed:{n}+{step}") for n in INTERVALS]
        axes.plot(*zip(*fixed, strict=True), color=colour, marker=marker, markersize=5, label=f"fixed, {step}")
        for n, point in zip(INTERVALS, fixed, strict=True):
            axes.annotate(str(n), point, textcoords="offset points", fontsize=8, color=colour, **LABEL_PLACES[step])
        adaptive = [at(f"adaptive:{drift}+{step}") for drift in DRIFTS]
        axes.plot(
            *zip(*adaptive, strict=True),
            color=colour, marker=marker, markersize=5, markerfacecolor="white", linestyle=":", label=f"adaptive, {step}",
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.margins(y=0.1)
    axes.set_xlabel("ms per frame, mean (numbers: key interval)")
    axes.set_ylabel("mask AP")
    axes.legend(loc="lower right")


if __name__ == "__main__":
    raise SystemExit(main())
