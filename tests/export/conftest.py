"""Nets exported once for all tests that need them."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from benchmarks.fill_weights import fill_state_dict
from edgeseg.bundle import Bundle, Graph, InputSpec, sha256
from edgeseg.cli import main
from edgeseg.types import AnyArray, Label, U8Array
from export.parity import feeds_for
from export.publish import WEIGHTS, write_manifest
from export.recipes import RECIPES
from export.recipes.base import ExportOptions, GraphModule
from export.run import Job, export_bundle
from export.samples import PICTURES, shipped
from export.share_weights import share_weights
from export.to_onnx import graphs_to_onnx
from tests.export.nets.facts import manifest
from tests.export.nets.rcnn.facts import filled_weights, golden, old_names
from tests.export.tiny import VARIANTS, filled


@pytest.fixture(scope="session")
def official_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Recipe name -> bundle of its float32-input graph with the filler weights, through a weights file like an official one."""

    @functools.cache
    def export(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        weights = folder / f"{name}_54_800000.pth"
        torch.save(fill_state_dict(manifest(name)), weights)
        options = ExportOptions(input_dtype="float32")
        export_bundle(Job(RECIPES[name], weights, folder / "bundle", options, shipped().first(2)), lambda _: None)
        weights.unlink()
        return folder / "bundle"

    return export


@pytest.fixture(scope="session")
def rcnn_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Model, case of tests/data/maskrcnn and target -> bundle that the command made of a weights file like torchvision's."""

    @functools.cache
    def export(name: str, case: str, target: str = "cpu") -> Path:
        folder = tmp_path_factory.mktemp(name)
        weights = filled_weights(name)
        torch.save(weights if name.endswith("_v2") else old_names(weights, name), folder / "weights.pth")
        wanted = golden(name.replace("fasterrcnn", "maskrcnn"), case)
        frame, size = "x".join(map(str, wanted["orig_hw"])), f"{wanted['min_size']},{wanted['max_size']}"
        (folder / "pictures").mkdir()
        for picture in ("astronaut.jpg", "coffee.jpg"):
            shutil.copyfile(PICTURES / picture, folder / "pictures" / picture)
        compared = ["--pictures", str(folder / "pictures")]
        options = ["--frame", frame, "--size", size, "--input-dtype", "float32", "--target", target, *compared]
        assert main(["export", name, "--weights", str(folder / "weights.pth"), "--out", str(folder / "bundle"), *options]) == 0
        (folder / "weights.pth").unlink()
        return folder / "bundle"

    return export


@dataclass(frozen=True)
class Traced:
    """A tiny net, one of its graph files and what the exporter says of it."""

    name: str
    """Of the graph."""
    family: str
    modules: dict[str, GraphModule]
    """All that the net is exported as."""
    graph: Graph
    file: Path
    input: InputSpec
    graphs: dict[str, Graph]
    """All that were traced, in the folder of the file."""
    labels: tuple[Label, ...]
    settings: Mapping[str, bool | int | float | str]

    @property
    def module(self) -> GraphModule:
        """What the file was traced from."""
        return self.modules[self.name]

    def bundle(self, file: Path | None = None) -> Bundle:
        """What a manifest would say, with another file in the place of the graph's own."""
        file = file or self.file
        graph = replace(self.graph, files={"fp32": file.name})
        graphs = {self.name: graph}
        return Bundle(self.family, "tiny", self.labels, self.input, graphs, {}, path=file.parent, settings=self.settings)

    def feeds(self, pictures: Iterable[U8Array]) -> list[dict[str, AnyArray]]:
        """What the graph can be run on."""
        return list(feeds_for(self.name, self.modules, self.input, pictures))


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Traced]:
    """Name of a variant in tests/export/tiny.py -> its traced graph."""

    @functools.cache
    def trace(variant: str) -> Traced:
        recipe, options, name = VARIANTS[variant]
        spec = recipe.input_spec(options)
        modules = recipe.graphs(filled(recipe), options)
        folder = tmp_path_factory.mktemp(variant)
        graphs = graphs_to_onnx(modules, spec, folder, "fp32")
        file = folder / graphs[name].files["fp32"]
        return Traced(name, recipe.family, modules, graphs[name], file, spec, graphs, recipe.labels, recipe.settings)

    return trace


@pytest.fixture(scope="session")
def tiny_float_bundle(tiny_graph: Callable[[str], Traced], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a variant in tests/export/tiny.py -> a bundle of its float32 graphs, not compared with the net and without a ledger."""

    @functools.cache
    def write(variant: str) -> Path:
        traced = tiny_graph(variant)
        folder = tmp_path_factory.mktemp(f"{variant}_bundle")
        files = [Path(shutil.copy(traced.file.with_name(graph.files["fp32"]), folder)) for graph in traced.graphs.values()]
        if len(files) > 1:
            share_weights(files, folder / WEIGHTS)
        hashes = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        write_manifest(Bundle(traced.family, variant, traced.labels, traced.input, traced.graphs, hashes, settings=traced.settings), folder)
        return folder

    return write
