"""Text that verbs print: aligned tables, and what a run did and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edgeseg.benchmark.machine import peak_memory_mib
from edgeseg.events import Event
from edgeseg.ledger import Entry, Ledger
from edgeseg.model import Model
from edgeseg.sources import SourceCounts
from edgeseg.stream import Summary
from edgeseg.types import Step


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows of equal length as lines with aligned columns.

    Args:
        rows: cells.
        right: numbers of the columns that are aligned to the right.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def number(value: float, digits: int = 3) -> str:
    """A score; a dash where there was nothing to measure."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def backend_text(model: Model) -> str:
    """Which backend runs the model, why, and on what."""
    return f"backend {model.choice.name} ({model.choice.reason}) on {model.runs_on}"


def backend_event(model: Model) -> Event:
    """`backend_text`, for the log as well."""
    choice = model.choice
    return Event("backend.serves", backend_text(model), backend=choice.name, reason=choice.reason, runs_on=model.runs_on)


def summary_fields(summary: Summary) -> dict[str, Any]:
    """Figures of a run for the log."""
    return {
        "frames": summary.frames,
        "instances": summary.detections,
        "lasted_s": round(summary.wall_s, 3),
        "frames_per_s": round(summary.frames_per_s, 2),
        "steps": {step.value: summary.steps[step] for step in Step if summary.steps[step]},
        "dropped": summary.source.dropped,
        "reconnects": summary.source.reconnects,
        "freezes": summary.source.freezes,
    }


def summary_text(summary: Summary) -> str:
    """Frames, speed, milliseconds per stage and peak memory of a run."""
    frames = f"{summary.frames} frame{'s' * (summary.frames != 1)} in {summary.wall_s:.2f} s"
    speed = f", {summary.frames_per_s:.1f} frames/s after the first" if summary.frames_per_s else ""
    lines = [f"{frames}{speed}; {summary.detections} instance{'s' * (summary.detections != 1)}"]
    if summary.steps.keys() - {Step.KEY}:
        lines.append(", ".join(f"{summary.steps[step]} {step.value}" for step in Step if summary.steps[step]) + " frames")
    if summary.source != SourceCounts():
        lines.append(source_text(summary.source))
    if summary.stages:
        rows = [(name, f"{times.median_s * 1e3:.2f}", f"{times.p99_s * 1e3:.2f}") for name, times in summary.stages.items()]
        lines.append(table([("stage", "median ms", "p99 ms"), *rows], right=(1, 2)))
    memory = peak_memory_mib()
    if memory is not None:
        lines.append(f"peak memory {memory:.0f} MiB")
    return "\n".join(lines)


def source_text(counts: SourceCounts) -> str:
    """What happened to a live stream."""
    times = f"{counts.reconnects} time{'s' * (counts.reconnects != 1)}"
    text = f"{counts.dropped} frame{'s' * (counts.dropped != 1)} dropped for newer ones; connected anew {times}"
    return f"{text}; picture frozen {counts.freezes} time{'s' * (counts.freezes != 1)}" if counts.freezes else text


def ledger_table(ledger: Ledger) -> str:
    """What every precision of a bundle loses, a row for each graph."""
    header = ("precision", "graph", "against", "instances", "lost", "extra", "score error", "mask IoU", "AP", "float layers", "verdict")
    return table([header, *map(_ledger_row, ledger.entries)], right=range(3, 10))


def _ledger_row(entry: Entry) -> tuple[str, ...]:
    ap = "-" if entry.ap is None or entry.reference_ap is None else f"{entry.ap:.4f} of {entry.reference_ap:.4f}"
    verdict = "; ".join(entry.over()) + (" (accepted)" if entry.accepted else "") if entry.over() else "within budget"
    return (
        entry.precision,
        entry.graph,
        entry.against,
        f"{entry.instances} above {entry.score:g}",
        str(entry.lost),
        str(entry.extra),
        f"{entry.max_score_error:.1e}",
        f"{entry.mean_mask_iou:.4f}, least {entry.min_mask_iou:.2f}",
        ap,
        str(len(entry.float_layers)),
        verdict,
    )
