"""Checkpoint -> bundle, in a straight line: load, trace, compare with the original, publish."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import edgeseg
from edgeseg.bundle import Bundle, Graph, InputSpec, read_bundle, sha256
from edgeseg.sources.folder import FolderSource

from .checkpoints import load_checkpoint
from .parity import Parity, check_pictures, compare, feeds_for
from .publish import WEIGHTS, require_target, staging, write_manifest
from .recipes.base import ExportOptions, GraphModule, Recipe
from .share_weights import share_weights
from .to_onnx import graphs_to_onnx

STEPS = ("weights", "trace", "compare", "write")
PRECISION = "fp32"


@dataclass(frozen=True)
class Job:
    """One export."""

    recipe: Recipe
    """As `configured` by the options."""
    weights: Path
    out: Path
    options: ExportOptions
    pictures: Path | None = None
    """Folder of pictures to compare on; None = those that ship with the exporter."""

    @property
    def input(self) -> InputSpec:
        """The ``image`` input of its graphs."""
        return self.recipe.input_spec(self.options)


def export_bundle(job: Job, report: Callable[[str], None]) -> Bundle:
    """Run an export and return the bundle as it reads back.

    Args:
        job: what to export.
        report: called with the name of each of `STEPS` when it is done.

    Raises:
        CheckpointError: the weights cannot be loaded or do not fit.
        ExportError: the graph could not be traced, does not match, or cannot be written.
        UsageError: ``out`` is no place for a bundle.
    """
    require_target(job.out)
    pictures = check_pictures(job.pictures)
    modules = job.recipe.graphs(load_checkpoint(job.weights, job.recipe), job.options)
    report("weights")
    with staging(job.out) as folder:
        graphs = _trace(job, modules, folder)
        report("trace")
        parity = {name: _compare(job, name, modules, graphs[name], folder, pictures) for name in modules}
        report("compare")
        bundle = Bundle(
            family=job.recipe.family,
            recipe=job.recipe.name,
            labels=job.recipe.labels,
            input=job.input,
            graphs=graphs,
            hashes={file.name: sha256(file) for file in sorted(folder.iterdir())},
            made_with=_versions(),
            parity={name: result.to_json() for name, result in parity.items()},
        )
        write_manifest(bundle, folder)
    report("write")
    return read_bundle(job.out)


def _trace(job: Job, modules: Mapping[str, GraphModule], folder: Path) -> dict[str, Graph]:
    """Write the graphs; where there are several they share their weights."""
    graphs = graphs_to_onnx(modules, job.input, folder, PRECISION)
    if len(graphs) > 1:
        share_weights([folder / file for graph in graphs.values() for file in graph.files.values()], folder / WEIGHTS)
    return graphs


def _compare(job: Job, name: str, modules: Mapping[str, GraphModule], graph: Graph, folder: Path, pictures: FolderSource) -> Parity:
    feeds = feeds_for(name, modules, job.input, (frame.pixels for frame in pictures))
    parity = compare(job.recipe.family, modules[name], graph, folder / graph.files[PRECISION], job.input, feeds)
    parity.require()
    return parity


def _versions() -> dict[str, str]:
    versions = {"edgeseg": edgeseg.__version__, "python": platform.python_version()}
    return versions | {package: version(package) for package in ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")}
