"""Official weight files -> nets: read without running code, and complete or not at all."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.errors import CheckpointError
from edgeseg.types import AnyArray

from .pickles import read_pickle
from .recipes import RECIPES
from .recipes.base import Recipe, Shapes

# Ten times the largest official file; what is above it is not one of these nets.
_MAX_BYTES = 2 * 1024**3
_LISTED = 8
_WRAPPERS = ("state_dict", "model")
# What torch's reader raises on damaged files.
_READ_ERRORS = (
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
_PICKLE_SUFFIX = ".pkl"
"""Of detectron2's files: pickles of NumPy arrays."""
_BATCH_COUNTER = "num_batches_tracked"


def load_checkpoint(path: str | Path, recipe: Recipe) -> nn.Module:
    """The net of ``recipe`` with the weights of the state-dict file at ``path``, float32, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file cannot be read safely, or does not hold exactly this net; every kind of difference is named.
    """
    path = Path(path)
    state = _unwrapped(_read(path), path)
    with torch.device("meta"):
        net = recipe.build_net()
    wanted = _shapes(net.state_dict())
    # Shapes first, on tensors without data: what a file claims costs nothing until it fits.
    _require_fit(_claims(state), wanted, recipe, path)
    held = recipe.arranged({name: _number(name, value, path) for name, value in _canonical(state, recipe, path).items()})
    # Only batch counters may be absent.
    net.load_state_dict({name: held.get(name, torch.zeros((), dtype=torch.int64)) for name in wanted}, assign=True)
    return net.eval().requires_grad_(False)


def _read(path: Path) -> object:
    """Whatever the file holds, unpickled by a reader that runs no code."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; give the path of a .pth or {_PICKLE_SUFFIX} file with the weights")
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        _require_size(path)
        if path.suffix.lower() == _PICKLE_SUFFIX:
            return read_pickle(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        refused = re.search(r"GLOBAL ([\w.]+)|[Uu]nsupported (?:class|global)[ :]+([\w.]+)", str(error))
        if refused:
            raise CheckpointError(
                f"{path}: refused, because besides weights it holds Python objects ({refused[1] or refused[2]}) that could run code when "
                "loaded. Ask its author for the bare state dict: torch.save(net.state_dict(), ...)"
            ) from error
        raise CheckpointError(
            f"{path}: cannot be read as a PyTorch weights file; it is damaged, cut short or something else. Download or copy it again"
        ) from error


def _require_size(path: Path) -> None:
    """Refuse what would fill the memory, packed files included."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(entry.file_size for entry in archive.infolist()))
    if size > _MAX_BYTES:
        raise CheckpointError(f"{path}: {size / 1024**3:.1f} GiB is too large for a weights file of any recipe")


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """The state dict itself, out of a training checkpoint or a DataParallel net if need be."""
    if isinstance(content, Mapping) and not any(isinstance(value, Tensor | np.ndarray) for value in content.values()):
        inner = [content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
        content = inner[0] if len(inner) == 1 else content
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a state dict (parameter names with their tensors)")
    state = {str(name): _tensor(value) if isinstance(value, np.ndarray) else value for name, value in content.items()}
    others = [name for name, value in state.items() if not isinstance(value, Tensor) or value.layout != torch.strided]
    if others or not state:
        found = f"also holds {_listing(others)}" if others else "is empty"
        raise CheckpointError(f"{path}: is not a state dict (parameter names with their dense tensors): it {found}")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _tensor(array: AnyArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))


def _claims(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the same shapes without data."""
    return {name: torch.empty(value.shape, device="meta") for name, value in state.items()}


def _canonical(state: Mapping[str, Tensor], recipe: Recipe, path: Path) -> dict[str, Tensor]:
    """The file's entries under the net's own names."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        canonical = recipe.canonical_key(name)
        if canonical is None:
            continue
        if canonical in renamed:
            raise CheckpointError(f"{path}: holds {canonical} twice, under the names of two code bases; it mixes two nets")
        renamed[canonical] = value
    return renamed


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


class _Differences(NamedTuple):
    """How a file departs from a net."""

    missing: list[str]
    unexpected: list[str]
    misshaped: list[str]

    @classmethod
    def between(cls, found: Shapes, wanted: Shapes) -> _Differences:
        """Files saved by old versions of PyTorch may lack the batch counters."""
        return cls(
            [name for name in wanted if name not in found and not name.endswith(_BATCH_COUNTER)],
            [name for name in found if name not in wanted],
            [name for name, shape in found.items() if wanted.get(name, shape) != shape],
        )


def _require_fit(state: Mapping[str, Tensor], wanted: Shapes, recipe: Recipe, path: Path) -> None:
    """Refuse a file unless its entries, given without their data, are exactly those of the net."""
    found = _shapes(recipe.arranged(_canonical(state, recipe, path)))
    differences = _Differences.between(found, wanted)
    if not any(differences):
        return
    advice = _fitting_recipes(state, path)
    classes = recipe.classes_in(found)
    if classes and classes != len(recipe.labels) and not differences.missing and not differences.unexpected:
        labels = f"give its {classes} class names, in training order, with --labels"
        raise CheckpointError(
            f"{path}: the checkpoint has {classes + 1} classes incl. background, the recipe {recipe.name} with its labels has "
            f"{len(recipe.labels) + 1}. {f'{advice}, or {labels}' if advice else labels.capitalize()}"
        )
    reshaped = [f"{name} is {found[name]} in the file and {wanted[name]} in the net" for name in differences.misshaped]
    kinds = {"missing": differences.missing, "unexpected": differences.unexpected, "of another shape": reshaped}
    listed = "; ".join(f"{len(names)} {kind} ({_listing(names)})" for kind, names in kinds.items() if names)
    raise CheckpointError(f"{path}: does not fit the recipe {recipe.name}. Keys: {listed}. {advice or 'It fits no other recipe either'}")


def _fitting_recipes(state: Mapping[str, Tensor], path: Path) -> str:
    """A sentence that names the recipes whose nets the file holds; empty when there are none."""
    fitting = [name for name, recipe in RECIPES.items() if _fits(state, recipe, path)]
    if not fitting:
        return ""
    return f"It fits the recipe {fitting[0]}: use that" if len(fitting) == 1 else f"It fits these recipes: {', '.join(fitting)}"


def _fits(state: Mapping[str, Tensor], recipe: Recipe, path: Path) -> bool:
    try:
        found = _shapes(recipe.arranged(_canonical(state, recipe, path)))
    except CheckpointError:
        return False
    with torch.device("meta"):
        wanted = _shapes(recipe.build_net().state_dict())
    return not any(_Differences.between(found, wanted))


def _number(name: str, value: Tensor, path: Path) -> Tensor:
    """One entry as the net holds it: finite float32, or a batch counter."""
    if name.endswith(_BATCH_COUNTER):
        return value
    if not value.is_floating_point():
        raise CheckpointError(f"{path}: {name} is {value.dtype}, not floating point; only unquantised weights can be exported")
    value = value.float()
    if not torch.isfinite(value).all():
        raise CheckpointError(f"{path}: {name} holds NaN or infinite weights; the training diverged or the file is damaged")
    return value


def _listing(names: Iterable[str]) -> str:
    """The first few names and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
