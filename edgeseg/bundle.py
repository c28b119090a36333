"""A bundle: a folder with ``model.json`` and ONNX graphs. All that export and runtime share (docs/bundle.md)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from edgeseg.errors import BundleError
from edgeseg.geometry import BILINEAR, FITS, RESAMPLES, Fit
from edgeseg.types import Label, SizeHW

MANIFEST = "model.json"
LEDGER = "ledger.json"
"""How exact every precision is (`edgeseg.ledger`); not in every bundle."""
FORMAT = "edgeseg-bundle"
FORMAT_VERSION = 1
# History: 1 = first published layout.
_MANIFEST_BYTES_MAX = 4_000_000
_TENSOR_ELEMENTS_MAX = 1 << 31
_SIDE_MAX = 16384
_SETTINGS_MAX = 32
_SETTING_TEXT_MAX = 256
_INPUT_DTYPES = ("uint8", "float32")
_DTYPES = ("uint8", "float32", "float16", "int64", "int32", "bool")

Setting: TypeAlias = bool | int | float | str


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and static shape of one graph input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class Graph:
    """One ONNX graph in one or more precisions."""

    files: Mapping[str, str]
    """Precision -> file name relative to the bundle."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    carry: Mapping[str, str] = field(default_factory=dict)
    """Input of a later graph -> output of this one that feeds it."""


@dataclass(frozen=True)
class InputSpec:
    """How a frame becomes the ``image`` input: uint8 or float32 (1, h, w, 3) BGR."""

    size: SizeHW
    dtype: str = "uint8"
    fit: str = "stretch"
    """One of `edgeseg.geometry.FITS`."""
    resample: str = BILINEAR
    """One of `edgeseg.geometry.RESAMPLES`."""

    def place(self, image_hw: SizeHW) -> Fit:
        """The placement of an image of ``image_hw`` in this input.

        Raises:
            SourceError: this input does not take images of that shape.
        """
        return FITS[self.fit](image_hw, self.size, self.resample)

    def to_json(self) -> dict[str, Any]:
        """The manifest's ``input``."""
        return {**vars(self), "size": list(self.size)}


@dataclass(frozen=True)
class Bundle:
    """A model that is ready to run, as its manifest describes it."""

    family: str
    recipe: str
    labels: tuple[Label, ...]
    input: InputSpec
    graphs: Mapping[str, Graph]
    hashes: Mapping[str, str]
    """File name -> SHA-256 in hexadecimal."""
    made_with: Mapping[str, str] = field(default_factory=dict)
    """Package -> version at export."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """How near the exported graph came to the original module, as measured by the exporter."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """What the family must know besides labels and graphs: plain numbers, truth values and texts. Families say which they read."""
    path: Path = Path()
    """The folder it was read from."""

    def file(self, graph: str, precision: str) -> Path:
        """Absolute path of one graph in one precision.

        Raises:
            BundleError: the bundle has no such graph or precision.
        """
        if graph not in self.graphs:
            raise BundleError(f"{self.path} has no graph {graph!r}, only {sorted(self.graphs)}. Export the model again.")
        files = self.graphs[graph].files
        if precision not in files:
            raise BundleError(
                f"{self.path} has no {precision} version of graph {graph!r}, only {sorted(files)}. Choose one of these with --precision."
            )
        return self.path / files[precision]

    def to_json(self) -> dict[str, Any]:
        """The content of ``model.json``."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "family": self.family,
            "recipe": self.recipe,
            "labels": [vars(label) for label in self.labels],
            "input": self.input.to_json(),
            # Left out where there are none, so that bundles of other families stay as they were.
            **({"settings": dict(self.settings)} if self.settings else {}),
            "graphs": {name: _graph_json(graph) for name, graph in self.graphs.items()},
            "hashes": dict(self.hashes),
            "made_with": dict(self.made_with),
            "parity": dict(self.parity),
        }


def read_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle folder: manifest, file names, sizes and hashes.

    Raises:
        BundleError: anything in it is missing, damaged, changed, too new or points outside the folder.
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    try:
        bundle = _from_json(manifest, folder)
        _check_carry(bundle.graphs)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{folder / MANIFEST} is not a valid bundle manifest ({type(error).__name__}: {error}). Export the model again."
        ) from error
    _check_files(bundle)
    return bundle


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _graph_json(graph: Graph) -> dict[str, Any]:
    return {
        "files": dict(graph.files),
        "inputs": [_spec_json(spec) for spec in graph.inputs],
        "outputs": [_spec_json(spec) for spec in graph.outputs],
        "carry": dict(graph.carry),
    }


def _spec_json(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    try:
        if not folder.exists():
            raise BundleError(f"there is no bundle at {folder}. Give the folder that 'edgeseg export' wrote.")
        if not file.is_file():
            raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}. Give the folder that 'edgeseg export' wrote.")
        if file.stat().st_size > _MANIFEST_BYTES_MAX:
            raise BundleError(f"{file} is larger than {_MANIFEST_BYTES_MAX} bytes, which no manifest is. Do not use this bundle.")
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file} cannot be read as JSON ({error}). Export the model again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{file} is not an edgeseg manifest: its 'format' is not {FORMAT!r}.")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"{file} has format_version {version!r}; a whole number from 1 is expected. Export the model again.")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{folder} has bundle format {version}, this edgeseg reads up to {FORMAT_VERSION}. Upgrade edgeseg: pip install -U edgeseg"
        )
    return manifest


def _from_json(manifest: Mapping[str, Any], folder: Path) -> Bundle:
    return Bundle(
        family=_text(manifest["family"]),
        recipe=_text(manifest["recipe"]),
        labels=tuple(_label(entry) for entry in manifest["labels"]),
        input=_input(manifest["input"]),
        graphs={name: _graph(entry) for name, entry in manifest["graphs"].items()},
        hashes={name: _text(value) for name, value in manifest["hashes"].items()},
        made_with={name: _text(value) for name, value in manifest.get("made_with", {}).items()},
        parity=dict(manifest.get("parity", {})),
        settings=_settings(manifest.get("settings", {})),
        path=folder,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    value.encode()
    return value


def _one_of(known: Collection[str], value: object, what: str) -> str:
    if (text := _text(value)) not in known:
        raise ValueError(f"{what} {text!r} is none of {', '.join(known)}")
    return text


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _settings(entries: Mapping[str, Any]) -> dict[str, Setting]:
    if len(entries) > _SETTINGS_MAX:
        raise ValueError(f"{len(entries)} settings, {_SETTINGS_MAX} at most")
    for name, value in entries.items():
        plain = isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
        if not plain or len(name) > _SETTING_TEXT_MAX or (isinstance(value, str) and len(_text(value)) > _SETTING_TEXT_MAX):
            raise TypeError(f"setting {name!r} is neither a number nor true, false or a short text")
    return dict(entries)


def _label(entry: Mapping[str, Any]) -> Label:
    if not isinstance(entry["is_thing"], bool):
        raise TypeError(f"is_thing is {entry['is_thing']!r}, not true or false")
    return Label(_text(entry["name"]), _whole(entry["category_id"]), entry["is_thing"])


def _input(entry: Mapping[str, Any]) -> InputSpec:
    height, width = (_whole(side) for side in entry["size"])
    if not (0 < height <= _SIDE_MAX and 0 < width <= _SIDE_MAX):
        raise ValueError(f"input size {height}x{width} is outside 1..{_SIDE_MAX}")
    return InputSpec(
        (height, width),
        dtype=_one_of(_INPUT_DTYPES, entry["dtype"], "input dtype"),
        fit=_one_of(FITS, entry["fit"], "input fit"),
        resample=_one_of(RESAMPLES, entry.get("resample", BILINEAR), "input resample"),
    )


def _graph(entry: Mapping[str, Any]) -> Graph:
    files = {precision: _text(name) for precision, name in entry["files"].items()}
    if not files:
        raise ValueError("a graph names no file")
    return Graph(
        files=files,
        inputs=tuple(_spec(spec) for spec in entry["inputs"]),
        outputs=tuple(_spec(spec) for spec in entry["outputs"]),
        carry={name: _text(value) for name, value in entry.get("carry", {}).items()},
    )


def _spec(entry: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(_whole(side) for side in entry["shape"])
    if any(side < 1 for side in shape) or math.prod(shape) > _TENSOR_ELEMENTS_MAX:
        raise ValueError(f"tensor {entry['name']!r} has an impossible shape {list(shape)}")
    return TensorSpec(_text(entry["name"]), _one_of(_DTYPES, entry["dtype"], "tensor dtype"), shape)


def _check_carry(graphs: Mapping[str, Graph]) -> None:
    for name, graph in graphs.items():
        outputs = {spec.name: (spec.dtype, spec.shape) for spec in graph.outputs}
        taken = [(spec.name, (spec.dtype, spec.shape)) for other in graphs.values() for spec in other.inputs]
        for target, output in graph.carry.items():
            if output not in outputs or (target, outputs[output]) not in taken:
                raise ValueError(f"graph {name!r} carries {output!r} to {target!r}, which no graph takes in that dtype and shape")


def _check_files(bundle: Bundle) -> None:
    graph_files = {file: f"graph {name!r}" for name, graph in bundle.graphs.items() for file in graph.files.values()}
    # Weights that several graphs share lie in a file of their own, which only the hashes name.
    for file in (*graph_files, *(bundle.hashes.keys() - graph_files.keys())):
        _check_file(bundle, graph_files.get(file, "a part of the graphs"), file)


def _check_file(bundle: Bundle, what: str, name: str) -> None:
    try:
        _verify(bundle, what, name)
    except (OSError, RuntimeError, ValueError) as error:
        # Names that no file can have, loops of links, files that may not be read.
        raise BundleError(f"{what}: the file {name!r} cannot be read ({error}). Copy the bundle or export the model again.") from error


def _verify(bundle: Bundle, what: str, name: str) -> None:
    path = bundle.path / name
    relative = PurePosixPath(name)
    inside = path.resolve().is_relative_to(bundle.path.resolve())
    if relative.is_absolute() or ".." in relative.parts or "\\" in name or not inside:
        raise BundleError(f"{bundle.path / MANIFEST} names {name!r}, which lies outside the bundle. Do not use this bundle.")
    if not path.is_file():
        raise BundleError(f"{what} is missing: {path} does not exist. Copy the whole bundle folder, or export the model again.")
    if name not in bundle.hashes:
        raise BundleError(f"{bundle.path / MANIFEST} holds no hash for {name}. Export the model again.")
    if sha256(path) != bundle.hashes[name]:
        raise BundleError(
            f"{path} was changed or damaged: its SHA-256 is not the one in {MANIFEST}. Copy the bundle again, or export the model again."
        )
