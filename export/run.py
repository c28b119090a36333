"""Checkpoint -> bundle, in a straight line: load, trace, compare with the original, publish."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

import edgeseg
from edgeseg.bundle import Bundle, Graph, InputSpec, read_bundle, sha256
from edgeseg.families.base import IMAGE
from edgeseg.sources.folder import FolderSource

from .checkpoints import load_checkpoint
from .parity import Parity, check_pictures, compare
from .publish import GRAPH_SUFFIX, require_target, staging, write_manifest
from .recipes.base import ExportOptions, GraphModule, Recipe
from .to_onnx import to_onnx

STEPS = ("weights", "trace", "compare", "write")
PRECISION = "fp32"


@dataclass(frozen=True)
class Job:
    """One export."""

    recipe: Recipe
    weights: Path
    out: Path
    options: ExportOptions
    pictures: Path | None = None
    """Folder of pictures to compare on; None = those that ship with the exporter."""


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
    spec = InputSpec(job.recipe.input_hw, job.options.input_dtype)
    with staging(job.out) as folder:
        graphs = {name: _trace(name, module, spec, folder) for name, module in modules.items()}
        report("trace")
        parity = {name: _compare(job.recipe, module, graphs[name], spec, folder, pictures) for name, module in modules.items()}
        report("compare")
        bundle = Bundle(
            family=job.recipe.family,
            recipe=job.recipe.name,
            labels=job.recipe.labels,
            input=spec,
            graphs=graphs,
            hashes={file: sha256(folder / file) for graph in graphs.values() for file in graph.files.values()},
            made_with=_versions(),
            parity={name: result.to_json() for name, result in parity.items()},
        )
        write_manifest(bundle, folder)
    report("write")
    return read_bundle(job.out)


def _trace(name: str, module: GraphModule, spec: InputSpec, folder: Path) -> Graph:
    image = torch.zeros(1, *spec.size, 3, dtype=getattr(torch, spec.dtype))
    return to_onnx(module.module, image, IMAGE, module.outputs, folder / f"{name}{GRAPH_SUFFIX}", PRECISION)


def _compare(recipe: Recipe, module: GraphModule, graph: Graph, spec: InputSpec, folder: Path, pictures: FolderSource) -> Parity:
    parity = compare(recipe.family, module, graph, folder / graph.files[PRECISION], spec, (frame.pixels for frame in pictures))
    parity.require()
    return parity


def _versions() -> dict[str, str]:
    versions = {"edgeseg": edgeseg.__version__, "python": platform.python_version()}
    return versions | {package: version(package) for package in ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")}
