"""Nets exported once for all tests that need them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from edgeseg.bundle import Graph, InputSpec
from edgeseg.families.base import IMAGE, KEY
from export.recipes import RECIPES
from export.recipes.base import ExportOptions, GraphModule
from export.run import Job, export_bundle
from export.to_onnx import to_onnx
from tests.export.nets.facts import manifest
from tests.export.tiny import VARIANTS, filled
from tests.fill_weights import fill_state_dict


@pytest.fixture(scope="session")
def official_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Recipe name -> bundle of its float32-input graph with the filler weights, through a weights file like an official one."""

    @functools.cache
    def export(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        weights = folder / f"{name}_54_800000.pth"
        torch.save(fill_state_dict(manifest(name)), weights)
        export_bundle(Job(RECIPES[name], weights, folder / "bundle", ExportOptions(input_dtype="float32")), lambda _: None)
        weights.unlink()
        return folder / "bundle"

    return export


@dataclass(frozen=True)
class Traced:
    """A tiny net, its graph file and what the exporter says of it."""

    module: GraphModule
    graph: Graph
    file: Path
    input: InputSpec


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Traced]:
    """Name of a variant in tests/export/tiny.py -> its traced graph."""

    @functools.cache
    def trace(name: str) -> Traced:
        recipe, options = VARIANTS[name]
        spec = InputSpec(recipe.input_hw, options.input_dtype)
        module = recipe.graphs(filled(recipe), options)[KEY]
        image = torch.zeros(1, *spec.size, 3, dtype=getattr(torch, spec.dtype))
        file = tmp_path_factory.mktemp(name) / "key.onnx"
        return Traced(module, to_onnx(module.module, image, IMAGE, module.outputs, file), file, spec)

    return trace
