"""The parity ledger: how near every precision of a bundle came to the one that it was made from, and whether that is near enough.

`edgeseg export` and `edgeseg quantize` write it as ``ledger.json`` into the bundle; the runtime warns when it runs what the ledger does
not vouch for.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeseg.bundle import LEDGER, Bundle
from edgeseg.errors import BundleError

FORMAT = "edgeseg-ledger"
FORMAT_VERSION = 1
_BYTES_MAX = 4_000_000


class PrecisionWarning(UserWarning):
    """What runs is less exact than it should be, or nobody measured how exact it is."""


@dataclass(frozen=True)
class Budget:
    """What a precision may lose. Where there is ground truth, its AP decides; else the agreement with the reference."""

    ap_loss: float
    """AP in 0..1 (0.01 = one point)."""
    disagreement: float
    """Lost and extra instances, as a part of the reference's."""
    mask_iou: float
    """Mean mask IoU of matched instances, at least."""


BUDGETS: Mapping[str, Budget] = {
    "fp32": Budget(ap_loss=0.0005, disagreement=0.02, mask_iou=0.999),
    "fp16": Budget(ap_loss=0.001, disagreement=0.03, mask_iou=0.99),
    "bf16": Budget(ap_loss=0.005, disagreement=0.1, mask_iou=0.97),
    "int8": Budget(ap_loss=0.01, disagreement=0.15, mask_iou=0.95),
}
_STRICTEST = BUDGETS["fp32"]
_TEXTS = ("precision", "graph", "against", "backend", "sha256")
_COUNTS = ("pictures", "instances", "lost", "extra")
_MEASURES = ("score", "max_score_error", "mean_score_error", "max_box_error_px", "min_mask_iou", "mean_mask_iou")
_BY_NAME = ("tensor_error", "worst_layers")


@dataclass(frozen=True)
class Entry:
    """How one artefact, a graph in one precision, compares with its reference."""

    precision: str
    graph: str
    against: str
    """What it was compared with: ``torch`` or another precision."""
    backend: str
    """What ran it: name and version."""
    sha256: str
    """Of the file that was measured."""
    pictures: int
    instances: int
    """Of the reference, above ``score``."""
    lost: int
    extra: int
    score: float
    """Only instances above this count."""
    max_score_error: float
    mean_score_error: float
    max_box_error_px: float
    """In pixels of the network input."""
    min_mask_iou: float
    mean_mask_iou: float
    tensor_error: Mapping[str, float] = field(default_factory=dict)
    """Dense output -> largest difference, in units of the reference's standard deviation; infinite where numbers overflow."""
    ap: float | None = None
    """Mask AP in 0..1 where there was ground truth."""
    reference_ap: float | None = None
    float_layers: tuple[str, ...] = ()
    """Layers that were left in float32."""
    worst_layers: Mapping[str, float] = field(default_factory=dict)
    """Layer -> noise over signal of its output, of the noisiest; only where they were looked for."""
    accepted: bool = False
    """Whether the user accepted a loss beyond the budget."""

    @property
    def ap_loss(self) -> float | None:
        """AP of the reference minus its own."""
        return None if self.ap is None or self.reference_ap is None else self.reference_ap - self.ap

    def over(self) -> tuple[str, ...]:
        """In what it is over the budget of its precision, in words; empty when it is within."""
        budget = BUDGETS.get(self.precision, _STRICTEST)
        if overflown := [name for name, error in self.tensor_error.items() if not math.isfinite(error)]:
            return (f"output {', '.join(overflown)} holds infinite values or NaN",)
        if self.ap_loss is not None:
            within = self.ap_loss <= budget.ap_loss
            return () if within else (f"AP falls by {self.ap_loss * 100:.2f} points, {budget.ap_loss * 100:g} are allowed",)
        if not self.instances and self.precision != "fp32":
            return ("there was nothing to find on the pictures, so its loss is not known: compare on pictures of what the model knows",)
        differing, allowed = self.lost + self.extra, max(1, int(budget.disagreement * self.instances))
        problems = []
        if differing > allowed:
            problems.append(f"{self.lost} of {self.instances} instances lost and {self.extra} extra, {allowed} are allowed")
        if not self.mean_mask_iou >= budget.mask_iou:
            problems.append(f"mean mask IoU {self.mean_mask_iou:.4f}, {budget.mask_iou:g} is the least allowed")
        return tuple(problems)

    def to_json(self) -> dict[str, Any]:
        """As it lies in the file, with the verdict for people; the runtime judges anew."""
        # JSON has no infinity.
        by_name = {
            field: {name: value if math.isfinite(value) else None for name, value in getattr(self, field).items()} for field in _BY_NAME
        }
        return {**dataclasses.asdict(self), **by_name, "over_budget": list(self.over())}


@dataclass(frozen=True)
class Ledger:
    """All entries of a bundle."""

    entries: tuple[Entry, ...] = ()

    def of(self, precision: str) -> dict[str, Entry]:
        """Graph -> entry of one precision."""
        return {entry.graph: entry for entry in self.entries if entry.precision == precision}

    def to_json(self) -> dict[str, Any]:
        """The content of ``ledger.json``."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, "entries": [entry.to_json() for entry in self.entries]}


def read_ledger(bundle: Bundle) -> Ledger:
    """The ledger of a bundle, whose files are known to match their hashes; an empty one where the bundle has none.

    Raises:
        BundleError: the file is not a ledger.
    """
    if LEDGER not in bundle.hashes:
        return Ledger()
    path = bundle.path / LEDGER
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise BundleError(f"{path} is larger than {_BYTES_MAX} bytes, which no ledger is. Do not use this bundle.")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["format_version"] > FORMAT_VERSION:
            raise BundleError(f"{path} is not a ledger that this edgeseg reads. Upgrade edgeseg: pip install -U edgeseg")
        return Ledger(tuple(_entry(entry) for entry in content["entries"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} is not a valid ledger ({type(error).__name__}: {error}). Export the model again.") from error


def _entry(content: Mapping[str, Any]) -> Entry:
    known = {one.name for one in dataclasses.fields(Entry)}
    values = {name: value for name, value in content.items() if name in known}
    by_name = {name: _by_name(name, values.get(name, {})) for name in _BY_NAME}
    entry = Entry(**{**values, **by_name, "float_layers": tuple(values.get("float_layers", ()))})
    for names, kind, what in (
        (_TEXTS, str, "a text"),
        (_COUNTS, int, "a whole number"),
        (_MEASURES, int | float, "a number"),
        (("ap", "reference_ap"), int | float | None, "a number"),
    ):
        for name in names:
            if not isinstance(getattr(entry, name), kind):
                raise TypeError(f"{name} is {getattr(entry, name)!r}, not {what}")
    return entry


def _by_name(name: str, content: object) -> dict[str, float]:
    """A number for each of several names; null stands for infinity."""
    if not isinstance(content, dict) or not all(isinstance(value, int | float | None) for value in content.values()):
        raise TypeError(f"{name} is {content!r}, not numbers by name")
    return {key: math.inf if value is None else value for key, value in content.items()}


def caution(bundle: Bundle, precision: str, graphs: Collection[str]) -> str:
    """What a user should know before running the graphs of a bundle in one precision; empty when the ledger vouches for it.

    Raises:
        BundleError: the ledger cannot be read.
    """
    entries = read_ledger(bundle).of(precision)
    if not entries and precision == "fp32":
        # Made before there were ledgers: the exporter has never written a float32 graph that differs from its network.
        return ""
    problems = [problem for graph in graphs if (problem := _problem(bundle, precision, graph, entries.get(graph)))]
    return f"{bundle.path} in {precision}: {'; '.join(problems)}" if problems else ""


def _problem(bundle: Bundle, precision: str, graph: str, entry: Entry | None) -> str:
    if entry is None:
        return f"nobody measured how much graph {graph!r} loses in {precision} (no entry in {LEDGER})"
    file = bundle.graphs[graph].files.get(precision, bundle.graphs[graph].files.get("fp32", ""))
    if bundle.hashes.get(file) != entry.sha256:
        return f"the ledger's entry for graph {graph!r} is of another file than {file}"
    over = "; ".join(entry.over())
    accepted = " (accepted when it was made)" if entry.accepted else ""
    return f"graph {graph!r} is over its budget: {over}{accepted}" if over else ""
