"""A bundle as a model repository of NVIDIA's Triton Inference Server, whose ONNX Runtime backend runs the graphs (docs/serving.md)."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgeseg.backends import BACKENDS, Backend, choose
from edgeseg.bundle import LEDGER, Bundle, TensorSpec, sha256
from edgeseg.errors import BackendError, BundleError, UsageError
from edgeseg.sinks.target import check_folder, write_error

CONFIG, LABELS, MODEL = "config.pbtxt", "labels.txt", "1/model.onnx"
"""Files of one model: what Triton reads, a class a line, and version 1 of the graph."""
LISTING = "edgeseg-triton.json"
"""Beside the models: what an export wrote, so that the next may replace it. Triton looks at folders alone."""
_FORMAT = "edgeseg-triton"
_TYPES = {
    "uint8": "TYPE_UINT8",
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int64": "TYPE_INT64",
    "int32": "TYPE_INT32",
    "bool": "TYPE_BOOL",
}
"""What Triton calls the dtypes that a manifest may name."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHECKERS = ("onnxruntime", "openvino")
"""What opens the graphs here, the first that can: Triton's own library before the other one of the CPU."""


def export_repository(bundle: Bundle, folder: Path, precision: str, name: str) -> tuple[str, ...]:
    """Write a model for each graph of a bundle into a repository, whole or not at all.

    Every graph is opened from where it was written and run once, on zeros: what ``config.pbtxt`` states is what it took and gave.

    Args:
        bundle: an open bundle.
        folder: the repository; a new or empty folder, or one that holds an earlier export and nothing else, which is replaced.
        precision: one that the bundle holds.
        name: what the models are called, before an underscore and the graph.

    Returns:
        The names of the models, ``NAME_GRAPH``.

    Raises:
        UsageError: the name is none for a model, or the folder holds something else.
        BundleError: the bundle has no such precision, or has names or tensors that Triton cannot have.
        MissingDependencyError: neither ONNX Runtime nor OpenVINO is installed.
        BackendError: a graph is not what the manifest says.
        SinkError: it cannot be written there.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"a model cannot be called {name!r}: give letters, digits, '_', '-' and '.', with a letter or digit first")
    # They become folders, and a manifest may come from anywhere.
    if odd := [graph for graph in bundle.graphs if not _NAME.fullmatch(graph)]:
        raise BundleError(f"{bundle.path}: graph {odd[0]!r} cannot be a part of a model's name. Do not use this bundle.")
    folder = folder.resolve()
    check_folder(folder.parent)
    _refuse_others(folder)
    checker = _checker()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
            made = Path(aside) / "repository"
            names = tuple(_write_model(bundle, made / f"{name}_{graph}", graph, precision) for graph in bundle.graphs)
            for graph, model in zip(bundle.graphs, names, strict=True):
                _check_graph(checker, bundle, graph, made / model / MODEL, precision)
            _write_listing(bundle, made, precision)
            _swap(folder, made, Path(aside) / "before")
    except OSError as error:
        raise write_error(folder, error) from error
    return names


def config_text(model: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str:
    """``config.pbtxt`` of a graph of static shapes, whose ``dims`` are therefore the whole shapes and whose batches have size 0.

    Raises:
        BundleError: a tensor has no dimension, as none of Triton's may be.
    """
    lines = [f"name: {_quoted(model)}", 'backend: "onnxruntime"', "max_batch_size: 0"]
    for what, specs in (("input", inputs), ("output", outputs)):
        lines.append(f"{what} [\n" + ",\n".join(map(_tensor_text, specs)) + "\n]")
    lines.append("instance_group [\n  {\n    count: 1\n    kind: KIND_AUTO\n  }\n]")
    return "\n".join(lines) + "\n"


def _tensor_text(spec: TensorSpec) -> str:
    if not spec.shape:
        raise BundleError(f"{spec.name} has no dimension, and Triton serves no such tensor. Export the model again with one of shape [1].")
    dims = ", ".join(map(str, spec.shape))
    return f"  {{\n    name: {_quoted(spec.name)}\n    data_type: {_TYPES[spec.dtype]}\n    dims: [ {dims} ]\n  }}"


def _quoted(text: str) -> str:
    # Letters as they are: not every reader of protobuf's text puts JSON's pairs of escapes together again.
    return json.dumps(text, ensure_ascii=False)


def _checker() -> Backend:
    usable = [name for name in _CHECKERS if BACKENDS[name].probe().usable]
    return BACKENDS[choose(usable[0] if usable else _CHECKERS[0]).name]


def _write_model(bundle: Bundle, folder: Path, graph: str, precision: str) -> str:
    """Write the folder of one model; returns its name."""
    file, spec = bundle.file(graph, precision), bundle.graphs[graph]
    (folder / MODEL).parent.mkdir(parents=True)
    shutil.copyfile(file, folder / MODEL)
    for weights in _weights(bundle, file):
        beside = (folder / MODEL).parent / weights
        # The manifest keeps names inside the bundle, not off the graph.
        if beside.exists():
            raise BundleError(f"{bundle.path}: the weights of graph {graph!r} are called {weights!r}, as Triton calls the graph itself.")
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / weights, beside)
    (folder / CONFIG).write_text(config_text(folder.name, spec.inputs, spec.outputs), encoding="utf-8")
    labels = "".join(f"{' '.join(label.name.split())}\n" for label in bundle.labels)
    (folder / LABELS).write_text(labels, encoding="utf-8")
    return folder.name


def _weights(bundle: Bundle, file: Path) -> Iterator[str]:
    """The files beside a graph that it keeps its weights in. The graph names them as protobuf writes a pair of key and value."""
    own = {name for graph in bundle.graphs.values() for name in graph.files.values()} | {LEDGER}
    text = file.read_bytes()
    for name in bundle.hashes.keys() - own:
        value = name.encode()
        if b"\x0a\x08location\x12" + _length(value) + value in text:
            yield name


def _length(value: bytes) -> bytes:
    """The length of a text under 16384 bytes as protobuf writes it."""
    return bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])


def _check_graph(checker: Backend, bundle: Bundle, graph: str, file: Path, precision: str) -> None:
    spec = bundle.graphs[graph]
    # Opening it compares what the library reports with the manifest; running it shows that there is no further input.
    with checker.open(file, spec, precision, None) as session:
        found = session.run({given.name: np.zeros(given.shape, given.dtype) for given in spec.inputs})
    gave = {name: (array.dtype, array.shape) for name, array in found.items()}
    if wrong := [str(wanted) for wanted in spec.outputs if gave[wanted.name] != (np.dtype(wanted.dtype), wanted.shape)]:
        raise BackendError(
            f"{bundle.path}: graph {graph!r} does not give {'; '.join(wrong)}, which model.json declares. Export the model again."
        )


def _write_listing(bundle: Bundle, made: Path, precision: str) -> None:
    files = {path.relative_to(made).as_posix(): sha256(path) for path in _files(made)}
    listing = {"format": _FORMAT, "recipe": bundle.recipe, "precision": precision, "files": files}
    (made / LISTING).write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _refuse_others(folder: Path) -> None:
    """Raise unless all that a folder holds came from an export."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give a new folder.")
    found = {path.relative_to(folder).as_posix() for path in _files(folder)} if folder.exists() else set()
    others = sorted(found - _listed(folder) - {LISTING}) if LISTING in found else sorted(found)
    if others:
        raise UsageError(f"{folder} holds what 'edgeseg export-triton' did not write: {others[0]}. Give a new or empty folder.")


def _listed(folder: Path) -> set[str]:
    try:
        listing = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        return set(listing["files"]) if listing["format"] == _FORMAT else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _swap(folder: Path, made: Path, before: Path) -> None:
    """Put what was made in the place of what was there."""
    if not folder.exists():
        made.rename(folder)
        return
    folder.rename(before)
    try:
        made.rename(folder)
    except BaseException:
        before.rename(folder)
        raise
