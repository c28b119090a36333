"""Adds precisions to a float32 bundle: makes the graphs, measures them, leaves layers in float until the loss is within the budget."""

from __future__ import annotations

import argparse
import functools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from edgeseg.bundle import LEDGER, Bundle, Graph, read_bundle, sha256
from edgeseg.errors import BundleError, ExportError, UsageError
from edgeseg.evaluation import CocoTruth
from edgeseg.families.base import KEY
from edgeseg.ledger import BUDGETS, Entry, Ledger, read_ledger
from edgeseg.types import AnyArray, Label

from .forms import Form
from .measure import Compared, Comparison
from .precision.calibration import Range, activation_ranges
from .precision.layers import LayerGraph
from .precision.noise import layer_noise
from .precision.table import OWN, WRITTEN
from .publish import GRAPH_SUFFIX, WEIGHTS, require_target, staging, write_manifest
from .samples import CALIBRATION_COUNT, COMPARED_COUNT, SCORED_COUNT, SYNTHETIC, Samples, samples
from .share_weights import share_weights

REFERENCE = "fp32"
PRECISIONS = (REFERENCE, *WRITTEN, *OWN)
WORST = 5
_NOISE_PICTURES = 2
_QUICK_LOOK = 4
"""Pictures on which an attempt is looked at before it is measured on all of them."""
_REFERENCE_BACKEND = "onnxruntime"
"""It computes exactly what a graph says, but for half precision (`Written.measured`)."""


@dataclass(frozen=True)
class Reduction:
    """What is to be added."""

    precisions: tuple[str, ...]
    calibration: Samples
    pictures: Samples
    accept_loss: bool = False
    """Leave no more than the heads' last layers in float, whatever is lost."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.precisions if name not in PRECISIONS]
        if unknown:
            raise UsageError(f"there is no precision {unknown[0]!r}; choose of {', '.join(PRECISIONS)}")


def reduction_of(args: argparse.Namespace, labels: Sequence[Label]) -> tuple[Samples, Reduction]:
    """What the options of `export.cli.add_precision_options` ask for: the pictures to compare on, and the precisions to add.

    Raises:
        UsageError: an unknown precision, a source that does not end, or truth without its pictures.
        EvaluationError: the truth cannot be read.
        SourceError: a source that cannot be read.
    """
    if args.truth is not None and args.pictures in (None, SYNTHETIC):
        raise UsageError("--truth tells of the pictures of a folder; name it with --pictures")
    scored = args.truth is not None or args.pictures == SYNTHETIC
    truth = {} if args.truth is None else {"truth": CocoTruth(args.truth, labels).of}
    pictures = samples(args.pictures, SCORED_COUNT if scored else COMPARED_COUNT, held_out=True, **truth)
    calibration = samples(args.calibration, CALIBRATION_COUNT, held_out=False)
    names = tuple(dict.fromkeys(name.strip() for name in args.precision.split(",")))
    # The network itself is slow: it is compared with the float32 graph on no more pictures than that needs.
    return pictures.first(COMPARED_COUNT), Reduction(names, calibration, pictures, args.accept_loss)


def quantise(source: Path, out: Path, reduction: Reduction, notice: Callable[[str], None]) -> Bundle:
    """Add precisions to a bundle and write the whole as another, or in place of it.

    Args:
        source: the folder of the bundle.
        out: where to write.
        reduction: what to add; replaces what the bundle has of it.
        notice: called with what is being done whenever a picture has been processed.

    Raises:
        BundleError: the bundle cannot be read, or has no float32 graphs.
        ExportError: a precision loses more than its budget, or the disk is full.
        UsageError: ``out`` is no place for a bundle.
    """
    bundle = read_bundle(source)
    ledger = read_ledger(bundle)
    if any(REFERENCE not in graph.files for graph in bundle.graphs.values()):
        raise BundleError(f"{source} has no {REFERENCE} graphs to start from. Give a bundle that has them.")
    require_target(out)
    with staging(out) as folder:
        for name in bundle.hashes:
            shutil.copyfile(source / name, folder / name)
        write_manifest(add_precisions(replace(bundle, path=folder), ledger, reduction, notice), folder)
    return read_bundle(out)


def add_precisions(bundle: Bundle, ledger: Ledger, reduction: Reduction | None, notice: Callable[[str], None] = lambda _: None) -> Bundle:
    """Write the graphs and the ledger into the bundle's folder and return the bundle with them; its manifest is not written.

    Args:
        bundle: with float32 graphs.
        ledger: entries that stay; those of the precisions that are made anew are replaced.
        reduction: what to add; None = nothing.
        notice: called with what is being done whenever a picture has been processed.

    Raises:
        ExportError: a precision loses more than its budget, and that was not accepted.
    """
    wanted = [] if reduction is None else [name for name in reduction.precisions if name != REFERENCE]
    entries = [entry for entry in ledger.entries if entry.precision not in wanted]
    for precision in wanted:
        maker = _Maker(bundle, precision, reduction, notice)
        bundle = maker.make()
        entries += maker.entries.values()
    file = bundle.path / LEDGER
    file.write_text(_json(Ledger(tuple(entries))), encoding="utf-8")
    return replace(bundle, hashes={**bundle.hashes, LEDGER: sha256(file)})


def _json(ledger: Ledger) -> str:
    return json.dumps(ledger.to_json(), indent=1, allow_nan=False) + "\n"


class _Maker:
    """Makes one precision of all graphs."""

    def __init__(self, bundle: Bundle, precision: str, reduction: Reduction, notice: Callable[[str], None]) -> None:
        self._bundle = bundle
        self._precision = precision
        self._reduction = reduction
        self._notice = notice
        self.entries: dict[str, Entry] = {}
        self._made: dict[str, onnx.ModelProto] = {}

    def make(self) -> Bundle:
        if self._precision in OWN:
            self._measure(OWN[self._precision], {}, self._reduction.pictures)
            self._require()
            return self._bundle
        # One graph after the other: the light graph is compared with what the finished key graph carries to it.
        for name in self._bundle.graphs:
            self._make_graph(name)
        self._require()
        for name, model in self._made.items():
            onnx.save(model, self._file(name))
        self._share()
        return self._bundle

    def _make_graph(self, name: str) -> None:
        """Try with ever more layers in float until the loss is within the budget."""
        attempts = _GraphMaker(self._bundle, name, self._precision, self._reduction, self._notice)
        for kept, model in attempts:
            self._made[name] = model
            # What is measured lies in the place of the graph until all is measured: the light graph takes what the key graph carries.
            onnx.save(WRITTEN[self._precision].measured(model), self._file(name))
            self._bundle = _with_file(self._bundle, name, self._precision, self._file(name))
            promising = self._is_promising(name, kept)
            if promising and self._within_budget(name, kept, self._reduction.pictures):
                return
            if promising and not self.entries[name].instances:
                # More layers in float would not show anything either.
                break
        # A few pictures may have been too few to refuse the last attempt, and are too few for the ledger.
        if promising or not self._within_budget(name, kept, self._reduction.pictures):
            self.entries[name] = replace(self.entries[name], worst_layers=attempts.worst())

    def _file(self, name: str) -> Path:
        return self._bundle.path / f"{name}.{self._precision}{GRAPH_SUFFIX}"

    def _is_promising(self, name: str, kept: tuple[str, ...]) -> bool:
        """Whether few pictures speak for an attempt, or say nothing of it."""
        return self._within_budget(name, kept, self._reduction.pictures.first(_QUICK_LOOK)) or not self.entries[name].instances

    def _within_budget(self, name: str, kept: tuple[str, ...], pictures: Samples) -> bool:
        self._measure(_REFERENCE_BACKEND, {name: kept}, pictures)
        return not self.entries[name].over()

    def _measure(self, backend: str, kept: Mapping[str, tuple[str, ...]], pictures: Samples) -> None:
        graphs = set(kept) or None
        comparison = Comparison(self._bundle, pictures, lambda: self._notice(f"{self._precision}: comparing"))
        with (
            Form(self._bundle, REFERENCE, backend, graphs) as reference,
            Form(self._bundle, self._precision, backend, graphs) as other,
        ):
            found = comparison.entries(reference, other, Compared(self._precision, REFERENCE, other.backend))
        for name, entry in found.items():
            self.entries[name] = replace(entry, float_layers=kept.get(name, ()))

    def _require(self) -> None:
        over = {name: entry for name, entry in self.entries.items() if entry.over()}
        if over and not self._reduction.accept_loss:
            raise ExportError(f"{_over_text(self._precision, over)} --accept-loss writes it nevertheless. Nothing was written.")
        for name, entry in over.items():
            self.entries[name] = replace(entry, accepted=True)

    def _share(self) -> None:
        """Where there are several graphs, move what they share of their weights into a file of this precision."""
        files = {name: self._bundle.path / graph.files[self._precision] for name, graph in self._bundle.graphs.items()}
        if len(files) > 1:
            weights = self._bundle.path / f"{self._precision}.{WEIGHTS}"
            share_weights(list(files.values()), weights)
            self._bundle = replace(self._bundle, hashes={**self._bundle.hashes, weights.name: sha256(weights)})
        for name, file in files.items():
            self._bundle = _with_file(self._bundle, name, self._precision, file)
            self.entries[name] = replace(self.entries[name], sha256=self._bundle.hashes[file.name])


class _GraphMaker:
    """One graph in one precision, with ever more layers left in float."""

    def __init__(self, bundle: Bundle, name: str, precision: str, reduction: Reduction, notice: Callable[[str], None]) -> None:
        self._bundle, self._name, self._precision = bundle, name, precision
        self._reduction, self._notice = reduction, notice
        self._written = WRITTEN[precision]
        self._model = onnx.load(bundle.file(name, REFERENCE))
        self._layers = LayerGraph(self._model, frozenset(self._graph.carry.values()))

    @property
    def _graph(self) -> Graph:
        return self._bundle.graphs[self._name]

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], onnx.ModelProto]]:
        """Names of the layers in float, and the graph."""
        for kept in self._choices():
            names = tuple(name for name in self._layers.layers if name in kept)
            yield names, self._written.convert(self._model, self.ranges, kept)

    def _choices(self) -> Iterator[frozenset[str]]:
        """First only what cannot be otherwise, then also the last layers of the heads, then also the noisiest ones."""
        wide = self._wide()
        yield wide
        last = wide | self._layers.last_layers
        if last != wide:
            yield last
        if self._reduction.accept_loss:
            # Who accepts a loss wants the speed: the usual form will do.
            return
        count = 2
        while count <= len(self._layers.layers) // 2:
            yield last | frozenset(list(self.noise)[:count])
            count *= 2

    def _wide(self) -> frozenset[str]:
        """Layers whose numbers the precision cannot hold."""
        return frozenset(
            name
            for name, layer in self._layers.layers.items()
            if max(self.ranges[tensor].largest for tensor in (*layer.inputs, *layer.outputs)) > self._written.limit
        )

    @functools.cached_property
    def ranges(self) -> dict[str, Range]:
        """Of what layers read and give, on the calibration pictures."""
        return activation_ranges(self._model, self._graph, self._bundle.path, self._feeds(self._reduction.calibration))

    @functools.cached_property
    def noise(self) -> dict[str, float]:
        """Layer -> relative noise, the noisiest first."""
        rounding = self._written.rounding(self.ranges)
        few = self._reduction.calibration.first(_NOISE_PICTURES)
        return layer_noise(self._model, self._graph, self._bundle.path, lambda: self._feeds(few), rounding)

    def worst(self) -> dict[str, float]:
        """The noisiest layers."""
        return dict(list(self.noise.items())[:WORST])

    def _feeds(self, pictures: Samples) -> Iterator[dict[str, AnyArray]]:
        with Form(self._bundle, REFERENCE, _REFERENCE_BACKEND, (KEY,)) as form:
            for sample in pictures:
                yield form.feed(self._name, sample.pixels)
                self._notice(f"{self._precision}: calibrating graph {self._name}")


def _with_file(bundle: Bundle, name: str, precision: str, file: Path) -> Bundle:
    graph = bundle.graphs[name]
    graphs = {**bundle.graphs, name: replace(graph, files={**graph.files, precision: file.name})}
    return replace(bundle, graphs=graphs, hashes={**bundle.hashes, file.name: sha256(file)})


def _over_text(precision: str, over: Mapping[str, Entry]) -> str:
    budget = BUDGETS[precision]
    parts = []
    for name, entry in over.items():
        worst = ", ".join(f"{layer} ({noise:.1%})" for layer, noise in entry.worst_layers.items())
        parts.append(f"graph {name!r}: {'; '.join(entry.over())}" + (f"; the noisiest layers are {worst}" if worst else ""))
    return f"{precision} loses more than its budget ({budget.ap_loss * 100:g} AP points). {'. '.join(parts)}."
