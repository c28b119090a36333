"""Checkpoint -> bundle, in a straight line: load, trace, compare with the original, publish."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import edgeseg
from edgeseg.backends import BACKENDS
from edgeseg.bundle import Bundle, Graph, InputSpec, read_bundle, sha256
from edgeseg.ledger import Ledger

from .checkpoints import load_checkpoint
from .measure import Compared, entry
from .parity import BACKEND, Parity, compare, feeds_for
from .publish import WEIGHTS, require_target, staging, write_manifest
from .recipes.base import ExportOptions, GraphModule, Recipe
from .reduce import REFERENCE, Reduction, add_precisions
from .samples import COMPARED_COUNT, Samples, samples
from .share_weights import share_weights
from .to_onnx import graphs_to_onnx

STEPS = ("weights", "trace", "compare", "reduce", "write")


@dataclass(frozen=True)
class Job:
    """One export."""

    recipe: Recipe
    """As `configured` by the options."""
    weights: Path
    out: Path
    options: ExportOptions
    pictures: Samples = field(default_factory=lambda: samples(None, COMPARED_COUNT, held_out=True))
    """What graph and network are compared on."""
    reduction: Reduction | None = None
    """Which other precisions to add."""
    flow_weights: Path | None = None
    """The flow net's, where they are not in ``weights``."""

    @property
    def input(self) -> InputSpec:
        """The ``image`` input of its graphs."""
        return self.recipe.input_spec(self.options)


def export_bundle(job: Job, report: Callable[[str], None], notice: Callable[[str], None] = lambda _: None) -> Bundle:
    """Run an export and return the bundle as it reads back.

    Args:
        job: what to export.
        report: called with the name of each of `STEPS` when it is done.
        notice: called with what is being done, several times in long steps.

    Raises:
        CheckpointError: the weights cannot be loaded or do not fit.
        ExportError: the graph could not be traced, does not match, or cannot be written.
        UsageError: ``out`` is no place for a bundle.
    """
    require_target(job.out)
    modules = job.recipe.graphs(load_checkpoint(job.weights, job.recipe, job.flow_weights), job.options)
    report("weights")
    with staging(job.out) as folder:
        graphs = _trace(job, modules, folder)
        report("trace")
        bundle = Bundle(
            family=job.recipe.family,
            recipe=job.recipe.name,
            labels=job.recipe.labels,
            input=job.input,
            graphs=graphs,
            hashes={file.name: sha256(file) for file in sorted(folder.iterdir())},
            made_with=_versions(),
            path=folder,
            settings=job.recipe.settings,
        )
        parity = {name: _compare(job, bundle, name, modules) for name in modules}
        bundle = replace(bundle, parity={name: result.to_json() for name, result in parity.items()})
        report("compare")
        bundle = add_precisions(bundle, _ledger(bundle, parity), job.reduction, notice)
        report("reduce")
        write_manifest(bundle, folder)
    report("write")
    return read_bundle(job.out)


def _trace(job: Job, modules: Mapping[str, GraphModule], folder: Path) -> dict[str, Graph]:
    """Write the graphs; where there are several they share their weights."""
    graphs = graphs_to_onnx(modules, job.input, folder, REFERENCE)
    if len(graphs) > 1:
        share_weights([folder / file for graph in graphs.values() for file in graph.files.values()], folder / WEIGHTS)
    return graphs


def _compare(job: Job, bundle: Bundle, name: str, modules: Mapping[str, GraphModule]) -> Parity:
    feeds = feeds_for(name, modules, job.input, (sample.pixels for sample in job.pictures))
    parity = compare(bundle, name, modules[name], feeds)
    parity.require()
    return parity


def _ledger(bundle: Bundle, parity: Mapping[str, Parity]) -> Ledger:
    """What is known of the float32 graphs."""
    compared = Compared(REFERENCE, "torch", f"{BACKEND} {BACKENDS[BACKEND].probe().version}")
    return Ledger(tuple(entry(bundle, name, compared, result.agreement, result.dense_error) for name, result in parity.items()))


def _versions() -> dict[str, str]:
    versions = {"edgeseg": edgeseg.__version__, "python": platform.python_version()}
    return versions | {package: version(package) for package in ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")}
