"""What an engine depends on, as a key and in words."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.backends.tensorrt.build import FLAGS
from edgeseg.backends.tensorrt.library import Library
from edgeseg.backends.tensorrt.target import BuildTarget
from edgeseg.bundle import MANIFEST, Graph, sha256

_WORDS_MAX = 100


@dataclass(frozen=True)
class Identity:
    """All that an engine depends on: engines of one identity can stand for each other."""

    files: Mapping[str, str]
    """Name -> SHA-256 of the ONNX file and of those beside it that hold its weights."""
    precision: str
    library: str
    fits: tuple[str, ...]
    """See `BuildTarget.fits`."""
    system: str
    """Operating system and processor."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    flags: tuple[str, ...] = FLAGS

    @property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For a sidecar, as JSON gives it back."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields

    def difference(self, other: Mapping[str, object]) -> str:
        """In which way an engine whose sidecar says ``other`` is not this one; empty if it is."""
        mine = self.to_json()
        unlike = [name for name in (*mine, *other) if mine.get(name) != other.get(name)]
        if not unlike:
            return ""
        if "files" in unlike:
            return "was built from another version of the file"
        if "library" in unlike:
            return f"was built by {_words(other.get('library'))}, this is {self.library}"
        if "fits" in unlike:
            return f"was built for {_words(other.get('fits'))}, this is {_words(list(self.fits))}"
        return f"was built with other {', '.join(dict.fromkeys(unlike))}"


def identify(library: Library, target: BuildTarget, file: Path, graph: Graph) -> Identity:
    """The identity of the engine that a build would give."""
    return Identity(
        files={part.name: sha256(part) for part in _parts(file, target.precision)},
        precision=target.precision,
        library=str(library),
        fits=target.fits,
        system=f"{platform.system()} {platform.machine()}",
        inputs=tuple(map(str, graph.inputs)),
        outputs=tuple(map(str, graph.outputs)),
    )


def _parts(file: Path, precision: str) -> list[Path]:
    """``file``, and the weights that it shares: what the manifest hashes but for graphs, JSON and the weights of other precisions."""
    manifest = file.parent / MANIFEST
    if not manifest.is_file():
        return [file]
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    graphs = {name for graph in listed["graphs"].values() for name in graph["files"].values()}
    others = {f"{other}." for graph in listed["graphs"].values() for other in graph["files"]} - {f"{precision}."}
    left_out = (*others, *(["weights."] if precision != "fp32" else []))
    weights = [name for name in sorted(listed["hashes"].keys() - graphs) if not name.endswith(".json")]
    return [file, *(file.parent / name for name in weights if not name.startswith(left_out))]


def _words(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    # Anything may stand in a foreign sidecar, and this goes to the terminal.
    return "".join(filter(str.isprintable, text))[:_WORDS_MAX]
