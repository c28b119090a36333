"""The pictures of docs/benchmarks.md: how long single frames take, and how old results of several cameras are.

python -m benchmarks.plot_results docs
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.types import F64Array

from .document import RESULTS, read_records
from .plot_video import STYLE
from .sections import Record, Records
from .streams import WAYS

FRAMES, STREAMS = "benchmarks_frames.png", "benchmarks_streams.png"
OURS, PEERS = "#0072B2", "#D55E00"
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
PEER_WORDS = ("torch", "ultralytics")
LINES = {WAYS[0]: {"color": OURS, "linestyle": "-"}, WAYS[1]: {"color": PEERS, "linestyle": "--"}}


def main() -> int:
    """Draw."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot_results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help=f"where {FRAMES} and {STREAMS} go")
    folder = parser.parse_args().folder
    records = read_records(RESULTS)
    draw(dict(_frame_panels(records)), _durations, folder / FRAMES)
    draw(dict(_stream_panels(records)), _ages, folder / STREAMS)
    return 0


def draw(panels: Mapping[str, Any], paint: Any, picture: Path) -> None:
    """Write a picture of panels, two to a row, each painted by ``paint(axes, panel)``."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    rows = -(-len(panels) // 2)
    with pyplot.rc_context(STYLE):
        figure, grid = pyplot.subplots(rows, 2, figsize=(11, 3.1 * rows), layout="constrained", squeeze=False)
        figure.get_layout_engine().set(h_pad=0.1, w_pad=0.12)
        for axes, (title, panel) in zip(grid.flat, panels.items(), strict=False):
            axes.set_title(title, fontweight="bold")
            paint(axes, panel)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        figure.savefig(picture, dpi=110)
    pyplot.close(figure)


def _frame_panels(records: Records) -> Iterator[tuple[str, Record]]:
    """Title -> contender -> its timing."""
    for name, words in (("yolact_frame", "YOLACT R-50, fp32"), ("precision_frame", "YOLACT R-50, every precision")):
        if name in records:
            yield f"{words}, 1080p", records[name]["timings"]
    for size, found in records.get("maskrcnn_frame", {}).get("sizes", {}).items():
        yield f"Mask R-CNN R-50 at {size}, 1080p", found["timings"]
    for name, found in records.get("cases", {}).get("cases", {}).items():
        yield f"Case {name}", {label: one["timing"] for label, one in found["contenders"].items()}


def _durations(axes: Any, timings: Record) -> None:
    """Every duration as a dot, and the median as a line; the first contender on top."""
    for row, (name, timing) in enumerate(timings.items()):
        colour = PEERS if name.startswith(PEER_WORDS) else OURS
        values_ms = np.array(timing["values_ms"])
        spread = np.random.default_rng(row).uniform(-0.25, 0.25, len(values_ms))
        axes.plot(values_ms, row + spread, ".", color=colour, alpha=0.4, markersize=7, markeredgewidth=0)
        axes.plot([timing["median_ms"]] * 2, [row - 0.38, row + 0.38], color=colour, linewidth=2)
    axes.set_yticks(range(len(timings)), list(timings))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("ms from the frame to its masks")


def _stream_panels(records: Records) -> Iterator[tuple[str, Record]]:
    """Title -> what was found with one kind of cameras."""
    for name in ("streams", "streams_3fps"):
        for found in records.get(name, {}).get("results", ()):
            setting = found["setting"]
            moments = "spread moments" if setting["spread"] else "the same moment"
            yield f"{setting['cameras']} cameras, {setting['fps']:g} frames a second, {moments}", found


def _ages(axes: Any, found: Record) -> None:
    """The part of all results that is older than a time, on a logarithmic axis that shows the rare ones."""
    for way, style in LINES.items():
        ages_ms = _all_ages(found, way)
        axes.step(ages_ms, 100 * (1 - np.arange(len(ages_ms)) / len(ages_ms)), where="post", label=way, **style)
    axes.set_yscale("log")
    axes.set_ylim(0.1, 110)
    axes.set_yticks([0.1, 1, 10, 100], ["0.1 %", "1 %", "10 %", "100 %"])
    axes.set_xlim(left=0)
    axes.set_xlabel("ms")
    axes.set_ylabel("results that are older")
    axes.legend()


def _all_ages(found: Record, way: str) -> F64Array:
    return np.sort(np.concatenate([ages for pair in found["pairs"] for ages in pair[way]["ages_ms"]]))


if __name__ == "__main__":
    raise SystemExit(main())
